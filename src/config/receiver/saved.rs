//! Accepted pushes as files: one a service, so that they survive a restart (specification, section 13).
//!
//! A file is written beside its place and renamed into it, so at every moment it holds a whole push, the old one or the new
//! one. It begins with a line that tells what it is, and by which it is known to be whole; see [`format`].

mod format;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File, TryLockError},
    hash::Hasher,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher24};

pub(super) use self::format::SavedPush;
use self::format::Unusable;
use crate::{
    config::{ConfigTable, Route},
    log_text::{cut, printed},
    model::{FunConfig, Nodes, PushConfig, ServiceConfig},
};

/// The ending of the files.
const ENDING: &str = ".push";

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".writing-";

/// The file that whoever uses the directory has locked.
const LOCK: &str = ".lock";

/// The longest part of a service's name that a file's name repeats, in bytes; file systems end at 255.
const NAME_BYTES: usize = 120;

/// Request type and version of a function.
type Name = (String, Option<String>);

/// The directory in which accepted pushes are kept.
///
/// What is kept of a service is what its pushes brought and what of it is still stored: pushes of two versions side by side
/// are both kept, and what an operator deleted since the last push is in the file until the next one.
pub(crate) struct SavedPushes {
    directory: PathBuf,
    /// Locked for as long as this engine uses the directory; `None` after its end.
    lock: Mutex<Option<File>>,
    /// What the file of each service holds.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// Tells temporary files of this process apart.
    written: AtomicU64,
}

#[derive(Clone)]
struct Kept {
    config_version: String,
    nodes: Nodes,
    /// How many functions the last push held.
    pushed: usize,
    functions: BTreeSet<Name>,
    pull: Option<ServiceConfig>,
}

/// A file that was set aside, because it is none of the files that this module writes.
pub(super) struct Rejected {
    /// Where it is now; where it was, if it could not be renamed.
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// The result of looking through the directory.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) pushes: Vec<SavedPush>,
    pub(super) rejected: Vec<Rejected>,
}

impl SavedPushes {
    /// Keeps pushes in this directory, which is made where it is missing. Looks whether files can be written there.
    ///
    /// # Errors
    /// What the operating system said, and that another engine uses the directory.
    pub(crate) fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let saved = Self {
            lock: Mutex::new(Some(lock(&directory)?)),
            directory,
            kept: Mutex::default(),
            written: AtomicU64::new(0),
        };
        for entry in fs::read_dir(&saved.directory)? {
            let entry = entry?;
            // Whoever wrote it did not finish, and nobody else will.
            if starts_with(&entry.file_name(), TEMPORARY)
                && let Err(error) = fs::remove_file(entry.path())
            {
                let (path, error) = (printed(entry.path().display()), printed(error));
                tracing::warn!(path, error, "cannot remove what was left of a push");
            }
        }
        let probe = saved.temporary();
        File::create_new(&probe)?;
        fs::remove_file(probe)?;
        Ok(saved)
    }

    /// Reads all files. Those that cannot be used are set aside, under a name that is not looked at again.
    pub(super) fn load(&self) -> io::Result<Loaded> {
        let mut loaded = Loaded::default();
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| ends_with(name, ENDING)) {
                paths.push(path);
            }
        }
        paths.sort_unstable();
        for path in paths {
            match read(&path) {
                Ok(push) => {
                    self.kept
                        .lock()
                        .insert(push.service.clone(), Kept::of(&push));
                    loaded.pushes.push(push);
                }
                Err(reason) => {
                    let reason = reason.to_string();
                    let path = set_aside(path);
                    let (shown, reason_shown) = (printed(path.display()), cut(&reason));
                    tracing::error!(
                        path = shown,
                        reason = reason_shown,
                        "set a saved push aside"
                    );
                    loaded.rejected.push(Rejected { path, reason });
                }
            }
        }
        Ok(loaded)
    }

    /// Writes what will be stored of a service once this push is: what earlier pushes brought, unless the push replaces it,
    /// and what this one brings. On return it is durable.
    pub(super) fn save(
        &self,
        table: &ConfigTable,
        push: &PushConfig,
        functions: &[FunConfig],
        replace: bool,
    ) -> io::Result<()> {
        let before = self.kept.lock().get(&push.service).cloned();
        let stored = match &before {
            Some(before) if !replace => before.stored(table, &push.service),
            _ => Vec::new(),
        };
        let mut all: BTreeMap<Name, &FunConfig> = BTreeMap::new();
        all.extend(
            stored
                .iter()
                .map(|route| (name_of(&route.config), &route.config)),
        );
        all.extend(functions.iter().map(|one| (name_of(one), one)));
        let saved = SavedPush {
            service: push.service.clone(),
            config_version: push.config_version.clone(),
            nodes: push.nodes.clone(),
            functions: functions.len(),
            pull: push
                .service_config()
                .or(before.and_then(|before| before.pull)),
            fun_configs: all.into_values().collect(),
        };
        self.write(table, &saved)?;
        self.kept
            .lock()
            .insert(push.service.clone(), Kept::of(&saved));
        Ok(())
    }

    /// Lets go of the directory, so that another engine can have it.
    pub(super) fn close(&self) {
        self.lock.lock().take();
    }

    /// Forgets a service.
    pub(super) fn delete(&self, service: &str) -> io::Result<()> {
        self.kept.lock().remove(service);
        match fs::remove_file(self.directory.join(file_name(service))) {
            Ok(()) => sync_directory(&self.directory),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes the file of a service. Where somebody has deleted the directory, it is made again with all that it held.
    fn write(&self, table: &ConfigTable, push: &SavedPush<&FunConfig>) -> io::Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_none() {
            return Err(io::Error::other("the engine has ended"));
        }
        match self.write_file(push) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            written => return written,
        }
        let directory = printed(self.directory.display());
        tracing::warn!(
            directory,
            "the state directory was deleted and is made again"
        );
        fs::create_dir_all(&self.directory)?;
        *lock = Some(self::lock(&self.directory)?);
        let kept = self.kept.lock().clone();
        for (service, kept) in kept.iter().filter(|(service, _)| **service != push.service) {
            let stored = kept.stored(table, service);
            self.write_file(&SavedPush {
                service: service.clone(),
                config_version: kept.config_version.clone(),
                nodes: kept.nodes.clone(),
                functions: kept.pushed,
                pull: kept.pull.clone(),
                fun_configs: stored.iter().map(|route| &route.config).collect(),
            })?;
        }
        self.write_file(push)
    }

    fn write_file(&self, push: &SavedPush<&FunConfig>) -> io::Result<()> {
        let bytes = push.to_bytes()?;
        let temporary = self.temporary();
        let written = write_durably(&temporary, &bytes)
            .and_then(|()| fs::rename(&temporary, self.directory.join(file_name(&push.service))));
        if let Err(error) = written {
            // Where even this fails, the next start does it.
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        sync_directory(&self.directory)
    }

    fn temporary(&self) -> PathBuf {
        let (process, count) = (
            std::process::id(),
            self.written.fetch_add(1, Ordering::Relaxed),
        );
        self.directory.join(format!("{TEMPORARY}{process}-{count}"))
    }
}

impl Kept {
    fn of<F: Borrow<FunConfig>>(push: &SavedPush<F>) -> Self {
        let functions = push.fun_configs.iter();
        Self {
            config_version: push.config_version.clone(),
            nodes: push.nodes.clone(),
            pushed: push.functions,
            functions: functions.map(|one| name_of(one.borrow())).collect(),
            pull: push.pull.clone(),
        }
    }

    /// What of it is still in the table.
    fn stored(&self, table: &ConfigTable, service: &str) -> Vec<Arc<Route>> {
        let names = self.functions.iter();
        let found = names.filter_map(|(request_type, version)| {
            table.exact(service, request_type, version.as_deref()).ok()
        });
        found.collect()
    }
}

/// Locks a directory for one engine.
fn lock(directory: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "another engine uses it; each needs a directory of its own",
        )),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
            let directory = printed(directory.display());
            tracing::warn!(directory, "the state directory cannot be locked there");
            Ok(file)
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn name_of(config: &FunConfig) -> Name {
    (
        config.request_type.clone(),
        config.effective_version().map(str::to_owned),
    )
}

fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename or a removal in the directory durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    // Elsewhere a directory cannot be opened as a file, and the file system sees to it by itself.
    if cfg!(unix) {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<SavedPush, Unusable> {
    let bytes = fs::read(path).map_err(Unusable::Unreadable)?;
    let push = SavedPush::from_bytes(&bytes)?;
    // A copy of another service's file would bring back what that service has replaced or deleted since.
    if path.file_name() != Some(OsStr::new(&file_name(&push.service))) {
        return Err(Unusable::OtherService(push.service));
    }
    Ok(push)
}

/// Renames a file to a free name that ends with `.rejected-N`, and answers where it is then.
fn set_aside(path: PathBuf) -> PathBuf {
    for number in 1..=u32::MAX {
        let mut name = path.clone().into_os_string();
        name.push(format!(".rejected-{number}"));
        let aside = PathBuf::from(name);
        if aside.exists() {
            continue;
        }
        if let Err(error) = fs::rename(&path, &aside) {
            let (path, error) = (printed(path.display()), printed(error));
            tracing::error!(path, error, "cannot rename a file that cannot be used");
            break;
        }
        return aside;
    }
    path
}

/// The name of a service's file: its name, in which everything but small letters, digits, `-` and `_` is written as `%XX`. So
/// no name leaves the directory, hides, or meets another one where large and small letters are the same. A long one is cut,
/// with a hash of the whole.
fn file_name(service: &str) -> String {
    let mut name = String::from("service-");
    for byte in service.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
        if name.len() > NAME_BYTES {
            let mut hasher = SipHasher24::new();
            hasher.write(service.as_bytes());
            name.push_str(&format!("~{:032x}", hasher.finish128().as_u128()));
            break;
        }
    }
    name + ENDING
}

fn starts_with(name: &OsStr, beginning: &str) -> bool {
    name.as_encoded_bytes().starts_with(beginning.as_bytes())
}

fn ends_with(name: &OsStr, ending: &str) -> bool {
    name.as_encoded_bytes().ends_with(ending.as_bytes())
}

#[cfg(test)]
mod tests;
