use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::{
    config::{
        Allowlist, FailedFilter, Puller, PushError, PushedService, puller::PullerSettings,
        receiver::Pushes, tests::World,
    },
    model::{
        FunConfig, Mfa, Nodes, PushConfig, PushOptions, PushOutcome, PushToken, ServiceConfig,
        SkipReason, Verification,
    },
};

/// A directory that is gone with its test.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gen_api-saved-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, service: &str) -> PathBuf {
        self.0.join(file_name(service))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != LOCK)
            .collect();
        names.sort_unstable();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A gateway that has just been started over this directory.
struct Gateway {
    world: World,
    pushes: Pushes,
}

impl Gateway {
    fn start(directory: &Directory) -> Self {
        Self::with_allowlist(directory, Allowlist::default())
    }

    fn with_allowlist(directory: &Directory, allowlist: Allowlist) -> Self {
        let token = Some(PushToken::from("s3cret"));
        let world = World::new(allowlist, token.clone(), PullerSettings::default());
        let (table, pulls) = (Arc::clone(&world.table), Arc::clone(&world.pulls));
        let telemetry = world.telemetry.clone();
        let pushes = Pushes::new(table, world.failed.clone(), pulls, token, telemetry);
        // As after a crash, which leaves nothing locked.
        let _ = fs::remove_file(directory.0.join(LOCK));
        let saved = SavedPushes::open(&directory.0).unwrap();
        Self {
            pushes: pushes.with_saved(saved).unwrap(),
            world,
        }
    }

    fn push(&self, push: PushConfig) -> Result<PushOutcome, PushError> {
        self.pushes
            .push(push.with_token("s3cret"), PushOptions::default())
    }

    fn serves(&self, service: &str, request_type: &str, version: &str) -> bool {
        self.world
            .table
            .exact(service, request_type, Some(version))
            .is_ok()
    }

    fn notes(&self) -> Vec<String> {
        let notes = self.world.failed.list(&FailedFilter::default());
        notes.into_iter().flat_map(|note| note.reasons).collect()
    }
}

fn function(service: &str, request_type: &str, version: &str) -> FunConfig {
    let config = FunConfig::builder(service, request_type).call("Users", request_type);
    config.version(version).local().build().unwrap()
}

fn push(service: &str, version: &str, request_type: &str, of: &str) -> PushConfig {
    let function = function(service, request_type, of);
    PushConfig::new(service, Nodes::list(["n1"]), version, [function])
}

#[test]
fn what_was_accepted_is_there_after_a_restart() {
    let directory = Directory::new();
    let service = ServiceConfig::new("shop", Nodes::list(["n2"]), Mfa::new("Configs", "all"));
    let functions = [function("shop", "price", "1.0.0")];
    let pulled = PushConfig::from_service_config(service.clone(), "7", functions);
    let before: std::collections::BTreeMap<String, PushedService> = {
        let gateway = Gateway::start(&directory);
        gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
        gateway.push(pulled).unwrap();
        gateway.pushes.services()
    };
    let gateway = Gateway::start(&directory);
    assert_eq!(gateway.pushes.services(), before);
    assert!(gateway.serves("users", "get", "1.0.0") && gateway.serves("shop", "price", "1.0.0"));
    let route = gateway
        .world
        .table
        .exact("users", "get", Some("1.0.0"))
        .unwrap();
    assert_eq!(route.config.nodes, Nodes::list(["n1"]));
    let (_, puller) = Puller::child(Arc::clone(&gateway.world.pulls));
    let pulls = puller.get_services();
    assert_eq!(pulls.get("shop"), Some(&service));
    assert_eq!(gateway.pushes.verify("users", "1"), Verification::Matched);
    let again = gateway.push(push("users", "1", "get", "1.0.0"));
    assert_eq!(again, Ok(PushOutcome::Skipped(SkipReason::VersionMatches)));
    assert_eq!(gateway.notes(), [""; 0]);
}

#[test]
fn versions_side_by_side_are_both_there_and_replaced_ones_are_not() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    gateway.push(push("users", "2", "get", "2.0.0")).unwrap();
    let gateway = Gateway::start(&directory);
    assert!(gateway.serves("users", "get", "1.0.0") && gateway.serves("users", "get", "2.0.0"));
    // What was restored is known as well as what was pushed.
    gateway.push(push("users", "3", "get", "3.0.0")).unwrap();
    let gateway = Gateway::start(&directory);
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        assert!(gateway.serves("users", "get", version), "{version}");
    }
    let replacing = push("users", "4", "get", "4.0.0").with_token("s3cret");
    let options = PushOptions::default().with_replace();
    gateway.pushes.push(replacing, options).unwrap();
    let gateway = Gateway::start(&directory);
    assert!(gateway.serves("users", "get", "4.0.0"));
    assert_eq!(gateway.world.table.count(), 1);
}

#[test]
fn what_was_deleted_does_not_come_back() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    gateway.push(push("users", "2", "list", "1.0.0")).unwrap();
    gateway.world.table.delete("users", "get", Some("1.0.0"));
    gateway.push(push("users", "3", "list", "2.0.0")).unwrap();
    let again = Gateway::start(&directory);
    assert!(!again.serves("users", "get", "1.0.0") && again.serves("users", "list", "1.0.0"));
    again.pushes.delete("users");
    again.pushes.delete("nobody");
    assert!(again.serves("users", "list", "1.0.0"), "until the restart");
    assert_eq!(directory.names(), [""; 0]);
    let empty = Gateway::start(&directory);
    assert_eq!(empty.world.table.count(), 0);
    assert_eq!(empty.pushes.verify("users", "3"), Verification::NotFound);
}

#[test]
fn the_token_is_never_written() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    let text = fs::read_to_string(directory.file("users")).unwrap();
    assert!(text.starts_with("gen_api push 1 "), "{text}");
    assert!(
        !text.contains("s3cret") && !text.contains("push_token"),
        "{text}"
    );
}

#[test]
fn what_is_refused_is_not_written() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    let stranger = push("users", "1", "get", "1.0.0").with_token("wrong");
    let refused = gateway.pushes.push(stranger, PushOptions::default());
    assert_eq!(refused, Err(PushError::InvalidToken));
    let mut invalid = push("users", "1", "get", "1.0.0");
    invalid.fun_configs[0].hook_timeout = 0;
    assert!(gateway.push(invalid).is_err());
    assert_eq!(directory.names(), [""; 0]);
}

#[test]
fn a_push_that_cannot_be_written_is_refused_and_nothing_of_it_is_stored() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    let elsewhere = directory.0.with_extension("moved");
    fs::rename(&directory.0, &elsewhere).unwrap();
    fs::write(&directory.0, "no directory").unwrap();
    let refused = gateway.push(push("users", "2", "get", "2.0.0"));
    assert_eq!(
        refused,
        Err(PushError::NotSaved(io::ErrorKind::NotADirectory))
    );
    assert_eq!(refused.map_err(|error| error.code()), Err("unavailable"));
    assert!(!gateway.serves("users", "get", "2.0.0"));
    assert_eq!(gateway.pushes.verify("users", "1"), Verification::Matched);
    fs::remove_file(&directory.0).unwrap();
    fs::rename(&elsewhere, &directory.0).unwrap();
    let accepted = gateway.push(push("users", "2", "get", "2.0.0"));
    assert_eq!(accepted, Ok(PushOutcome::Accepted));
}

#[test]
fn a_directory_that_cannot_be_used_is_an_error_at_the_start() {
    let directory = Directory::new();
    let file = directory.0.join("a_file");
    fs::write(&file, "").unwrap();
    assert!(SavedPushes::open(&file).is_err());
    assert!(SavedPushes::open(file.join("below")).is_err());
    assert!(SavedPushes::open(directory.0.join("deep").join("down")).is_ok());
}

#[test]
fn a_file_torn_at_any_length_is_set_aside_and_the_others_serve() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("shop", "1", "price", "1.0.0")).unwrap();
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    let file = directory.file("users");
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let gateway = Gateway::start(&directory);
        assert!(!gateway.serves("users", "get", "1.0.0"), "{length}");
        assert!(gateway.serves("shop", "price", "1.0.0"), "{length}");
        let notes = gateway.notes();
        assert_eq!(notes.len(), 1, "{length}");
        assert!(
            notes[0].contains("service-users.push.rejected-1"),
            "{}",
            notes[0]
        );
        let aside = format!("{}.rejected-1", file.display());
        assert_eq!(fs::read(&aside).unwrap(), whole[..length]);
        fs::remove_file(aside).unwrap();
    }
    fs::write(&file, &whole).unwrap();
    assert!(Gateway::start(&directory).serves("users", "get", "1.0.0"));
}

#[test]
fn a_file_in_which_any_byte_is_another_is_set_aside() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    let whole = fs::read(directory.file("users")).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(SavedPush::from_bytes(&changed).is_err(), "{at}");
    }
}

#[test]
fn foreign_and_later_files_are_set_aside_and_kept_apart() {
    let directory = Directory::new();
    let (users, shop) = (directory.file("users"), directory.file("shop"));
    let gateway = Gateway::start(&directory);
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    // A copy under the name of another service.
    fs::copy(&users, &shop).unwrap();
    let later = fs::read_to_string(&users)
        .unwrap()
        .replacen("push 1 ", "push 2 ", 1);
    fs::write(&users, later).unwrap();
    fs::write(directory.0.join("notes.txt"), "not ours").unwrap();
    fs::write(directory.0.join(".writing-1-1"), "half").unwrap();
    fs::create_dir(directory.0.join(".writing-folder")).unwrap();
    fs::create_dir(directory.0.join("folder")).unwrap();
    fs::create_dir(directory.file("folder")).unwrap();
    fs::write(directory.file("foreign"), "dear diary").unwrap();
    let json = "gen_api push 1 ";
    fs::write(directory.file("words"), format!("{json}\n{{}}")).unwrap();
    let gateway = Gateway::start(&directory);
    let notes = gateway.notes().join("\n");
    for reason in [
        "written by a later version, in format 2",
        "a push of the service \"users\"",
        "it cannot be read",
        "no saved push",
        "not whole",
    ] {
        assert!(notes.contains(reason), "{reason}: {notes}");
    }
    assert_eq!(gateway.world.table.count(), 0);
    // A second one of the same name gets a name of its own, and no start looks at either again.
    fs::write(directory.file("foreign"), "dear diary").unwrap();
    assert_eq!(Gateway::start(&directory).notes().len(), 1);
    assert_eq!(Gateway::start(&directory).notes(), [""; 0]);
    let names = directory.names();
    assert!(
        names.contains(&"service-foreign.push.rejected-2".to_owned()),
        "{names:?}"
    );
    assert!(names.contains(&"notes.txt".to_owned()) && !names.contains(&".writing-1-1".to_owned()));
}

#[test]
fn a_directory_belongs_to_one_engine_at_a_time() {
    let directory = Directory::new();
    let first = SavedPushes::open(&directory.0).unwrap();
    let error = SavedPushes::open(&directory.0).err().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().starts_with("another engine uses it"));
    first.close();
    let second = SavedPushes::open(&directory.0).unwrap();
    // The first one is over and writes no more.
    let table = World::default().table;
    let push = push("users", "1", "get", "1.0.0");
    assert!(first.save(&table, &push, &push.fun_configs, false).is_err());
    assert!(second.save(&table, &push, &push.fun_configs, false).is_ok());
}

#[test]
fn a_directory_that_was_deleted_is_made_again_with_all_that_it_held() {
    let directory = Directory::new();
    let gateway = Gateway::start(&directory);
    gateway.push(push("shop", "1", "price", "1.0.0")).unwrap();
    gateway.push(push("users", "1", "get", "1.0.0")).unwrap();
    fs::remove_dir_all(&directory.0).unwrap();
    gateway.push(push("users", "2", "get", "2.0.0")).unwrap();
    assert!(
        SavedPushes::open(&directory.0).is_err(),
        "it is locked again"
    );
    let after = Gateway::start(&directory);
    assert!(after.serves("shop", "price", "1.0.0"));
    assert!(after.serves("users", "get", "1.0.0") && after.serves("users", "get", "2.0.0"));
    assert_eq!(after.pushes.services(), gateway.pushes.services());
    // A deletion finds nothing to delete, which is no error.
    fs::remove_dir_all(&directory.0).unwrap();
    gateway.pushes.delete("shop");
}

#[test]
fn what_may_not_be_stored_any_more_is_noted_and_the_rest_serves() {
    let directory = Directory::new();
    let mut both = push("users", "1", "get", "1.0.0");
    let mut other = function("users", "wipe", "1.0.0");
    other.mfa = Mfa::new("Disks", "wipe");
    both.fun_configs.push(other);
    Gateway::start(&directory).push(both).unwrap();
    let allowlist = Allowlist::new([crate::config::AllowedFunction::Module("Users".to_owned())]);
    let gateway = Gateway::with_allowlist(&directory, allowlist);
    assert!(gateway.serves("users", "get", "1.0.0") && !gateway.serves("users", "wipe", "1.0.0"));
    assert_eq!(gateway.notes().len(), 1);
}

proptest! {
    #[test]
    fn any_name_of_a_service_makes_a_safe_file_name(one in ".{0,300}", other in ".{0,300}") {
        let name = file_name(&one);
        prop_assert!(name.len() < 200);
        let rest = name.strip_prefix("service-").unwrap().strip_suffix(".push").unwrap();
        let safe = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_%~".contains(c);
        prop_assert!(rest.chars().all(safe), "{name}");
        prop_assert_eq!(one == other, name == file_name(&other));
    }

    #[test]
    fn no_file_makes_reading_panic(bytes: Vec<u8>, whole: bool) {
        let begun = b"gen_api push 1 ".iter().copied().filter(|_| whole);
        let bytes: Vec<u8> = begun.chain(bytes).collect();
        prop_assert!(SavedPush::from_bytes(&bytes).is_err());
    }
}
