//! Strangers at a door: how many connections they may have, in all and by address, and how often they may be wrong.
//!
//! Whoever connects has shown no secret yet, so this is what keeps one caller from taking all handles of the process.

mod brake;

use std::{
    collections::HashMap,
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

#[cfg_attr(not(feature = "grpc"), allow(unused_imports))]
pub(crate) use self::brake::{Brake, LineBudget};

/// The places of a door. Clones share them.
#[derive(Clone)]
pub(crate) struct Admission {
    most: usize,
    most_by_address: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    in_all: usize,
    /// Only addresses that have a place.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection gets no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("too many connections")]
    InAll,
    #[error("too many connections from this address")]
    ByAddress,
}

impl Admission {
    /// A door with so many places, of which one address may take `most_by_address`.
    pub(crate) fn new(most: usize, most_by_address: usize) -> Self {
        Self {
            most,
            most_by_address,
            taken: Arc::default(),
        }
    }

    /// A place for a connection from this address; it is free again when it is dropped.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, Full> {
        let address = neighbourhood(address);
        let mut taken = self.taken.lock();
        if taken.in_all >= self.most {
            return Err(Full::InAll);
        }
        let own = taken.by_address.get(&address).copied().unwrap_or_default();
        if own >= self.most_by_address {
            return Err(Full::ByAddress);
        }
        taken.in_all += 1;
        taken.by_address.insert(address, own + 1);
        Ok(Place {
            taken: Arc::clone(&self.taken),
            address,
        })
    }

    /// How many places are taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> usize {
        self.taken.lock().in_all
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = self.taken.lock();
        f.debug_struct("Admission")
            .field("most", &self.most)
            .field("most_by_address", &self.most_by_address)
            .field("taken", &taken.in_all)
            .field("addresses", &taken.by_address.len())
            .finish()
    }
}

/// A connection's place. Dropping it frees it.
#[must_use = "a place is free again when it is dropped"]
pub(crate) struct Place {
    taken: Arc<Mutex<Taken>>,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.in_all -= 1;
        if let Some(own) = taken.by_address.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Place").field(&self.address).finish()
    }
}

/// What counts as one address: an IPv4 address, also where it is written as an IPv6 one, and the 64 bits of an IPv6 address
/// that name its network. The other 64 are the caller's own choice.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_gets_its_places_and_no_more_until_one_is_free() {
        let door = Admission::new(10, 2);
        let (one, other) = (address("127.0.0.1"), address("127.0.0.2"));
        let first = door.admit(one).unwrap();
        let _second = door.admit(one).unwrap();
        assert_eq!(door.admit(one).unwrap_err(), Full::ByAddress);
        let _other = door.admit(other).unwrap();
        drop(first);
        let _third = door.admit(one).unwrap();
        assert_eq!(door.admit(one).unwrap_err(), Full::ByAddress);
    }

    #[test]
    fn all_addresses_together_get_the_places_of_the_door() {
        let door = Admission::new(2, 2);
        let _first = door.admit(address("10.0.0.1")).unwrap();
        let second = door.admit(address("10.0.0.2")).unwrap();
        assert_eq!(door.admit(address("10.0.0.3")).unwrap_err(), Full::InAll);
        drop(second);
        let _third = door.admit(address("10.0.0.3")).unwrap();
    }

    #[test]
    fn nothing_is_remembered_of_addresses_that_have_gone() {
        let door = Admission::new(10, 2);
        for last in 0..=255 {
            let _place = door.admit(IpAddr::from([10, 0, 0, last])).unwrap();
        }
        assert_eq!(door.taken(), 0);
        assert!(door.taken.lock().by_address.is_empty());
    }

    #[test]
    fn one_network_of_ipv6_is_one_address_and_so_are_both_forms_of_an_ipv4_one() {
        let door = Admission::new(10, 1);
        let _place = door.admit(address("2001:db8::1")).unwrap();
        let same = door.admit(address("2001:db8::ffff:1"));
        assert_eq!(same.unwrap_err(), Full::ByAddress);
        let _next = door.admit(address("2001:db8:0:1::1")).unwrap();
        let _v4 = door.admit(address("10.0.0.1")).unwrap();
        assert!(door.admit(address("::ffff:10.0.0.1")).is_err());
    }
}
