//! All addresses behind a name, asked again and again while somebody uses the name.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, select},
};
use papaya::HashMap;
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::target::GroupTarget;
use crate::node::Address;

/// How long the system may take to answer for a name.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a name is asked for that nobody uses, at least.
const STILL_USED: Duration = Duration::from_secs(60);

/// Answers for names.
pub(super) trait Lookup: Send + Sync + 'static {
    fn lookup(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, String>>;
}

/// The resolver of the operating system.
pub(super) struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, String>> {
        let answer = async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            let found = found.map_err(|error| error.to_string())?;
            Ok(found.map(|address| address.ip()).collect())
        };
        answer.boxed()
    }
}

/// The names in use.
pub(super) struct Groups {
    known: Arc<HashMap<Address, Arc<Group>>>,
    lookup: Arc<dyn Lookup>,
    interval: Duration,
    /// The pause after a failure while nothing is known yet.
    trial_interval: Duration,
    /// Whether the addresses are called over TLS.
    tls: bool,
    runtime: Handle,
    closing: watch::Sender<()>,
}

struct Group {
    target: GroupTarget,
    found: watch::Sender<Found>,
    used: AtomicU64,
    origin: Instant,
}

/// What is known of a name.
#[derive(Clone)]
enum Found {
    /// Its first answer is on the way.
    Asked,
    Nodes(Arc<[Address]>),
    /// Nothing was ever answered; why.
    Nothing(Arc<str>),
}

impl Groups {
    pub(super) fn new(
        lookup: Arc<dyn Lookup>,
        interval: Duration,
        trial_interval: Duration,
        tls: bool,
        runtime: Handle,
    ) -> Self {
        Self {
            known: Arc::default(),
            lookup,
            interval,
            trial_interval: trial_interval.min(interval),
            tls,
            runtime,
            closing: watch::Sender::new(()),
        }
    }

    /// The addresses of the nodes behind a name; the first one who asks waits for the answer.
    pub(super) async fn nodes(
        &self,
        address: &Address,
        target: GroupTarget,
    ) -> Result<Arc<[Address]>, String> {
        let group = self.group(address, target);
        group.used.store(group.now(), Ordering::Relaxed);
        let mut found = group.found.subscribe();
        let found = found.wait_for(|found| !matches!(found, Found::Asked));
        match found.await.map(|found| found.clone()) {
            Ok(Found::Nodes(nodes)) => Ok(nodes),
            Ok(Found::Nothing(reason)) => Err(reason.to_string()),
            Ok(Found::Asked) | Err(_) => Err("the client is closing".to_owned()),
        }
    }

    fn group(&self, address: &Address, target: GroupTarget) -> Arc<Group> {
        let known = self.known.pin();
        if let Some(group) = known.get(address) {
            return Arc::clone(group);
        }
        let started = Arc::new(Group {
            target,
            found: watch::Sender::new(Found::Asked),
            used: AtomicU64::new(0),
            origin: Instant::now(),
        });
        match known.try_insert(address.clone(), Arc::clone(&started)) {
            Err(taken) => Arc::clone(taken.current),
            Ok(_) => {
                self.keep(address.clone(), Arc::clone(&started));
                started
            }
        }
    }

    /// Asks for a name until nobody uses it any more.
    fn keep(&self, address: Address, group: Arc<Group>) {
        let (lookup, tls) = (Arc::clone(&self.lookup), self.tls);
        let (interval, trial_interval) = (self.interval, self.trial_interval);
        let known = Arc::downgrade(&self.known);
        let mut closing = self.closing.subscribe();
        self.runtime.spawn(async move {
            let _answered = Answered(&group);
            let asking = async {
                while group.unused() < STILL_USED.max(10 * interval) {
                    let known = group.ask(&*lookup, tls).await;
                    sleep(if known { interval } else { trial_interval }).await;
                }
            };
            select(std::pin::pin!(asking), std::pin::pin!(closing.changed())).await;
            if let Some(known) = known.upgrade() {
                let _ = known
                    .pin()
                    .remove_if(&address, |_, current| Arc::ptr_eq(current, &group));
            }
        });
    }
}

impl Group {
    /// Asks once. Whether anything is known after it.
    async fn ask(&self, lookup: &dyn Lookup, tls: bool) -> bool {
        let host = &self.target.host;
        let answer = timeout(PATIENCE, lookup.lookup(host.clone())).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")));
        let answer = match answer {
            Ok(addresses) if addresses.is_empty() => Err("no address".to_owned()),
            other => other,
        };
        match answer {
            Ok(addresses) => {
                let nodes = self.addresses(addresses, tls);
                self.found.send_if_modified(|found| {
                    if matches!(found, Found::Nodes(known) if **known == *nodes) {
                        return false;
                    }
                    tracing::info!(
                        name = crate::log_text::cut(host),
                        ?nodes,
                        "the nodes behind a name are known"
                    );
                    *found = Found::Nodes(nodes.into());
                    true
                });
                true
            }
            Err(reason) => {
                tracing::warn!(
                    name = crate::log_text::cut(host),
                    reason = crate::log_text::cut(&reason),
                    "a name could not be resolved"
                );
                let mut known = true;
                self.found.send_if_modified(|found| {
                    known = matches!(found, Found::Nodes(_));
                    if !known {
                        *found = Found::Nothing(reason.into());
                    }
                    !known
                });
                known
            }
        }
    }

    /// The addresses in one order, whatever the order of the answer: the same nodes are the same list.
    fn addresses(&self, mut found: Vec<IpAddr>, tls: bool) -> Vec<Address> {
        found.sort_unstable();
        found.dedup();
        let GroupTarget { host, port } = &self.target;
        let address = |ip: IpAddr| {
            let node = SocketAddr::new(ip, *port);
            let text = if tls {
                format!("https://{node}#{host}")
            } else {
                format!("http://{node}")
            };
            Address::new(text).ok()
        };
        found.into_iter().filter_map(address).collect()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn unused(&self) -> Duration {
        let used = self.used.load(Ordering::Relaxed);
        Duration::from_millis(self.now().saturating_sub(used))
    }
}

/// Lets nobody wait for an answer that will not come.
struct Answered<'g>(&'g Group);

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        self.0.found.send_if_modified(|found| {
            let waiting = matches!(found, Found::Asked);
            if waiting {
                *found = Found::Nothing("the client is closing".into());
            }
            waiting
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use parking_lot::Mutex;

    use super::*;

    /// Answers in turn; the last answer stays.
    struct Script(Mutex<VecDeque<Result<Vec<IpAddr>, String>>>);

    impl Lookup for Script {
        fn lookup(&self, host: String) -> BoxFuture<'static, Result<Vec<IpAddr>, String>> {
            assert_eq!(host, "users");
            let mut answers = self.0.lock();
            let next = if answers.len() > 1 {
                answers.pop_front()
            } else {
                answers.front().cloned()
            };
            std::future::ready(next.unwrap()).boxed()
        }
    }

    fn groups(answers: impl IntoIterator<Item = Result<Vec<IpAddr>, String>>, tls: bool) -> Groups {
        let script = Script(Mutex::new(answers.into_iter().collect()));
        let (interval, trial) = (Duration::from_secs(5), Duration::from_millis(500));
        Groups::new(Arc::new(script), interval, trial, tls, Handle::current())
    }

    async fn nodes(groups: &Groups) -> Result<Vec<String>, String> {
        let address = Address::new("dns://users:9").unwrap();
        let target = GroupTarget {
            host: "users".to_owned(),
            port: 9,
        };
        let nodes = groups.nodes(&address, target).await?;
        Ok(nodes.iter().map(Address::to_string).collect())
    }

    fn ips(last: impl IntoIterator<Item = u8>) -> Result<Vec<IpAddr>, String> {
        let ip = |last| IpAddr::from([10, 0, 0, last]);
        Ok(last.into_iter().map(ip).collect())
    }

    fn failure() -> Result<Vec<IpAddr>, String> {
        Err("no such name".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_asked_again_at_its_interval_and_a_failure_keeps_what_is_known() {
        let groups = groups([ips([2, 1, 2]), failure(), ips([]), ips([3])], false);
        let both = ["http://10.0.0.1:9", "http://10.0.0.2:9"];
        assert_eq!(nodes(&groups).await.unwrap(), both);
        sleep(Duration::from_millis(5_100)).await;
        assert_eq!(nodes(&groups).await.unwrap(), both);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(nodes(&groups).await.unwrap(), both);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(nodes(&groups).await.unwrap(), ["http://10.0.0.3:9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_was_never_answered_is_an_error_and_soon_asked_again() {
        let groups = groups([failure(), ips([1])], false);
        assert_eq!(nodes(&groups).await, Err("no such name".to_owned()));
        sleep(Duration::from_millis(600)).await;
        assert_eq!(nodes(&groups).await.unwrap(), ["http://10.0.0.1:9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn over_tls_the_certificates_carry_the_name() {
        let groups = groups([ips([1])], true);
        assert_eq!(nodes(&groups).await.unwrap(), ["https://10.0.0.1:9#users"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_that_nobody_uses_is_forgotten() {
        let groups = groups([ips([1]), ips([2])], false);
        nodes(&groups).await.unwrap();
        sleep(Duration::from_secs(70)).await;
        assert_eq!(groups.known.len(), 0);
        assert_eq!(nodes(&groups).await.unwrap(), ["http://10.0.0.2:9"]);
    }

    #[tokio::test]
    async fn the_system_knows_this_machine() {
        let found = SystemLookup.lookup("localhost".to_owned()).await.unwrap();
        assert!(found.iter().any(IpAddr::is_loopback));
    }
}
