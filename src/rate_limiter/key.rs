//! The key of a history: a group of limits and a value of its kind of key.

use std::{
    borrow::Cow,
    hash::{BuildHasher, RandomState},
};

use hashbrown::DefaultHashBuilder;

/// Values up to this many bytes lie in the table itself, which saves most checks the cache miss of a text that lies apart.
const LONGEST_SHORT: usize = 18;

/// Values up to this many bytes are kept as they are; of longer ones, a fingerprint. What a client sends as an argument
/// may be as large as the payload, and would stay in memory for the whole window.
const LONGEST_KEPT: usize = 256;

/// The key of a history in the table; 24 bytes, as much as a `Box<str>` and a number would take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StoredKey {
    /// A short value as numbers, which are compared and hashed at once.
    Short {
        group: u32,
        length: u8,
        /// The first bytes and the last ones. They overlap in most lengths, which does no harm: two values of one length
        /// are the same when their beginnings and their ends are.
        first: u64,
        last: u64,
        /// What is between them where they do not meet.
        between: u16,
    },
    Long {
        group: u32,
        value: Box<[u8]>,
    },
}

/// A key that is looked for, with its hash.
#[derive(Debug)]
pub(super) struct Key<'a> {
    pub(super) hash: u64,
    form: Form<'a>,
}

#[derive(Debug)]
enum Form<'a> {
    /// As it is stored.
    Short(StoredKey),
    Long {
        group: u32,
        value: Cow<'a, [u8]>,
    },
}

/// Makes keys, and hashes them under secrets of its own.
#[derive(Debug, Default)]
pub(super) struct Keys {
    hasher: DefaultHashBuilder,
    fingerprints: [RandomState; 2],
}

impl Keys {
    #[inline]
    pub(super) fn key<'a>(&self, group: u32, value: &'a str) -> Key<'a> {
        let value = value.as_bytes();
        if let Some(short) = StoredKey::short(group, value) {
            return Key {
                hash: self.hash_of(&short),
                form: Form::Short(short),
            };
        }
        let value = if value.len() <= LONGEST_KEPT {
            Cow::Borrowed(value)
        } else {
            Cow::Owned(self.fingerprint(value))
        };
        Key {
            hash: self.hash(group, &value),
            form: Form::Long { group, value },
        }
    }

    /// The hash of a key that is in the table.
    #[inline]
    pub(super) fn hash_of(&self, stored: &StoredKey) -> u64 {
        match stored {
            StoredKey::Short {
                group,
                length,
                first,
                last,
                between,
            } => {
                let group_and_length = u64::from(*group) << 32 | u64::from(*length) << 16;
                self.hasher
                    .hash_one((first, last, group_and_length | u64::from(*between)))
            }
            StoredKey::Long { group, value } => self.hash(*group, value),
        }
    }

    fn hash(&self, group: u32, value: &[u8]) -> u64 {
        self.hasher.hash_one((group, value))
    }

    /// Stands for a long value. The secret keys make it 128 bits that nobody outside can aim at; as hexadecimal digits it
    /// is longer than a short key, so the two never meet.
    #[cold]
    fn fingerprint(&self, value: &[u8]) -> Vec<u8> {
        let [first, second] = &self.fingerprints;
        let (first, second) = (first.hash_one(value), second.hash_one(value));
        format!("{first:016x}{second:016x}").into_bytes()
    }
}

impl StoredKey {
    /// `None` where the value is too long for it.
    #[inline]
    fn short(group: u32, value: &[u8]) -> Option<Self> {
        let (first, last, between) = match value.len() {
            0 => (0, 0, 0),
            1..=3 => {
                let ([one, ..], [.., three]) = (value, value) else {
                    return None;
                };
                let two = value.get(value.len() / 2)?;
                (u64::from(*one), u64::from(*three), u16::from(*two))
            }
            4..=7 => {
                let first = u32::from_le_bytes(*value.first_chunk()?);
                let last = u32::from_le_bytes(*value.last_chunk()?);
                (first.into(), last.into(), 0)
            }
            8..=LONGEST_SHORT => {
                let first = u64::from_le_bytes(*value.first_chunk()?);
                let last = u64::from_le_bytes(*value.last_chunk()?);
                let between = match value {
                    [_, _, _, _, _, _, _, _, one, two, _, _, _, _, _, _, _, _] => [*one, *two],
                    [_, _, _, _, _, _, _, _, one, _, _, _, _, _, _, _, _] => [*one, 0],
                    _ => [0, 0],
                };
                (first, last, u16::from_le_bytes(between))
            }
            _ => return None,
        };
        Some(Self::Short {
            group,
            length: u8::try_from(value.len()).ok()?,
            first,
            last,
            between,
        })
    }

    /// The group whose limits count by it.
    pub(super) fn group(&self) -> u32 {
        match self {
            Self::Short { group, .. } | Self::Long { group, .. } => *group,
        }
    }
}

impl Key<'_> {
    /// Whether it is this one.
    #[inline]
    pub(super) fn is(&self, stored: &StoredKey) -> bool {
        match (&self.form, stored) {
            (Form::Short(own), stored) => own == stored,
            (
                Form::Long { group, value },
                StoredKey::Long {
                    group: of,
                    value: other,
                },
            ) => group == of && **value == **other,
            _ => false,
        }
    }

    /// The same, to be kept.
    pub(super) fn to_stored(&self) -> StoredKey {
        match &self.form {
            Form::Short(short) => short.clone(),
            Form::Long { group, value } => StoredKey::Long {
                group: *group,
                value: Box::from(&**value),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stored_key_takes_24_bytes_and_short_values_nothing_beside_it() {
        assert_eq!(size_of::<StoredKey>(), 24);
        let keys = Keys::default();
        let longest = "x".repeat(LONGEST_SHORT);
        assert!(matches!(
            keys.key(1, &longest).to_stored(),
            StoredKey::Short { .. }
        ));
    }

    #[test]
    fn of_a_value_as_large_as_a_payload_a_few_bytes_are_kept() {
        let keys = Keys::default();
        let [one, other] = ["x".repeat(1_000_000), "x".repeat(999_999)];
        let StoredKey::Long { value, .. } = keys.key(1, &one).to_stored() else {
            panic!("a fingerprint lies apart")
        };
        assert_eq!(value.len(), 32);
        assert!(keys.key(1, &one).is(&keys.key(1, &one).to_stored()));
        assert!(!keys.key(1, &one).is(&keys.key(1, &other).to_stored()));
    }

    proptest! {
        /// Lengths around both borders, and few letters, one of them the padding.
        #[test]
        fn keys_are_the_same_exactly_when_group_and_value_are(
            (one, other) in ("[\0a]{0,20}|a{254,258}", "[\0a]{0,20}|a{254,258}"),
            (of_one, of_other) in (0_u32..2, 0_u32..2),
        ) {
            let keys = Keys::default();
            let (key, stored) = (keys.key(of_one, &one), keys.key(of_other, &other).to_stored());
            prop_assert_eq!(stored.group(), of_other);
            let same = (of_one, &one) == (of_other, &other);
            prop_assert_eq!(key.is(&stored), same);
            if same {
                prop_assert_eq!(key.hash, keys.hash_of(&stored));
            }
        }
    }
}
