use std::{sync::atomic::AtomicUsize, thread};

use super::*;

const APIS: usize = 20;

fn table() -> ConfigTable {
    ConfigTable::new(
        Arc::new(Functions::new()),
        Allowlist::default(),
        Limits::default(),
    )
}

/// A config that tells the generation it is of.
fn config(api: usize, generation: u64) -> FunConfig {
    let mut config = FunConfig::builder("svc", format!("api-{api}"))
        .call("T", "f")
        .local()
        .build()
        .unwrap();
    config.mfa.args = vec![generation.into()];
    config
}

fn generation(route: &Route) -> u64 {
    route.config.mfa.args[0].as_u64().unwrap()
}

fn all(generation: u64) -> Vec<FunConfig> {
    (0..APIS).map(|api| config(api, generation)).collect()
}

fn generations(table: &ConfigTable) -> Vec<u64> {
    let routes = table.routes();
    routes.iter().map(|route| generation(route)).collect()
}

/// Lets two threads look again and again while this one writes one generation after another.
fn race(write: impl Fn(u64), look: impl Fn() + Sync) {
    struct Reader<'a>(&'a AtomicUsize);

    impl Drop for Reader<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    let readers = AtomicUsize::new(2);
    thread::scope(|scope| {
        for _ in 0..2 {
            let reader = Reader(&readers);
            let look = &look;
            scope.spawn(move || {
                // Dropped by a panic too, so that the writer never waits for nobody.
                let _reader = reader;
                for _ in 0..500 {
                    look();
                }
            });
        }
        let mut generation = 1;
        while readers.load(Ordering::Relaxed) > 0 {
            generation += 1;
            write(generation);
        }
    });
}

#[test]
fn whoever_has_found_one_config_of_a_step_finds_the_others() {
    let table = table();
    table.store_all(all(1));
    let look = || {
        let mut last = 0;
        for api in 0..APIS {
            let found = table.fast("svc", &format!("api-{api}")).unwrap();
            let found = generation(&found);
            assert!(found >= last, "{found} after {last}");
            last = found;
        }
    };
    race(|generation| table.store_all(all(generation)), look);
}

#[test]
fn a_list_holds_all_configs_of_a_step_or_none() {
    let table = table();
    table.store_all(all(1));
    let look = || {
        let found = generations(&table);
        assert_eq!(found, vec![found[0]; APIS]);
        assert_eq!(table.count(), APIS);
    };
    race(|generation| table.store_all(all(generation)), look);
}

#[test]
fn what_a_step_removes_goes_with_what_it_adds() {
    let table = table();
    let refresh = |generation: u64| {
        let half = |api: usize| api % 2 == generation as usize % 2;
        let configs = all(generation).into_iter().enumerate();
        let configs: Vec<_> = configs.filter(|(api, _)| half(*api)).collect();
        let names: BTreeSet<String> = configs
            .iter()
            .map(|(_, config)| config.request_type.clone())
            .collect();
        let keep = |request_type: &str, _: Option<&str>| names.contains(request_type);
        let configs = configs.into_iter().map(|(_, config)| config).collect();
        table.refresh("svc", configs, Some(&keep))
    };
    assert_eq!(refresh(1), 0);
    assert_eq!(refresh(2), APIS / 2);
    let look = || {
        let found = generations(&table);
        assert_eq!(found, vec![found[0]; APIS / 2]);
    };
    let write = |generation| {
        refresh(generation);
    };
    race(write, look);
    assert_eq!(table.services(), BTreeSet::from(["svc".to_owned()]));
}

#[test]
fn versions_of_one_api_in_one_step_are_seen_together() {
    let table = table();
    let versions = |generation| {
        ["1.0.0", "2.0.0", "10.0.0"].map(|version| {
            let mut config = config(0, generation);
            config.version = Some(version.to_owned());
            config
        })
    };
    table.store_all(versions(1).into());
    let look = || {
        let found = generations(&table);
        assert_eq!(found, [found[0]; 3]);
    };
    race(
        |generation| table.store_all(versions(generation).into()),
        look,
    );
}

#[test]
fn a_step_that_was_taken_leaves_nothing_of_the_sets_before() {
    let table = table();
    table.refresh("svc", all(1), None);
    let apis = table.apis.pin();
    // A set that still was a part of the step would show nothing to whoever knows of no step.
    assert!(apis.values().all(|set| !set.seen(|| 0).is_empty()));
    drop(apis);
    let keep_none = |_: &str, _: Option<&str>| false;
    assert_eq!(table.refresh("svc", Vec::new(), Some(&keep_none)), APIS);
    assert_eq!(table.apis.len(), 0);
    assert!(table.services().is_empty() && table.functions(&[]).is_empty());
}

#[test]
fn the_services_beside_the_refreshed_one_stay() {
    let table = table();
    let mut other = config(0, 1);
    other.service = "other".to_owned();
    table.store(other);
    let keep_none = |_: &str, _: Option<&str>| false;
    assert_eq!(table.refresh("svc", all(1), None), 0);
    assert_eq!(table.refresh("svc", Vec::new(), Some(&keep_none)), APIS);
    assert_eq!(generations(&table), [1]);
    assert!(table.fast("other", "api-0").is_ok());
}
