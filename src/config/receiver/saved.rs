//! Accepted pushes as files: one a service, so that they survive a restart (SPEC section 13).
//!
//! A file is written beside its place and renamed into it, so at every moment it holds a whole push, the old one or the new
//! one. It begins with a line that tells what it is, and by which it is known to be whole; see [`format`].

mod format;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs::{self, File},
    hash::Hasher,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;
use siphasher::sip128::{Hasher128, SipHasher24};

pub(super) use self::format::SavedPush;
use self::format::Unusable;
use crate::{
    config::ConfigTable,
    model::{FunConfig, PushConfig, ServiceConfig},
};

/// The ending of the files.
const ENDING: &str = ".push";

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".writing-";

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
    /// What the file of each service holds.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// Tells temporary files of this process apart.
    written: AtomicU64,
}

#[derive(Clone, Default)]
struct Kept {
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
    /// What the operating system said.
    pub(crate) fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(&directory)?;
        let saved = Self {
            directory,
            kept: Mutex::default(),
            written: AtomicU64::new(0),
        };
        for entry in fs::read_dir(&saved.directory)? {
            let entry = entry?;
            // Whoever wrote it did not finish, and nobody else will.
            if starts_with(&entry.file_name(), TEMPORARY) {
                fs::remove_file(entry.path())?;
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
                    tracing::error!(path = %path.display(), reason, "set a saved push aside");
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
        let before = before.unwrap_or_default();
        let mut all: BTreeMap<Name, FunConfig> = BTreeMap::new();
        if !replace {
            for (request_type, version) in &before.functions {
                let route = table.exact(&push.service, request_type, version.as_deref());
                if let Ok(route) = route {
                    let name = (request_type.clone(), version.clone());
                    all.insert(name, route.config.clone());
                }
            }
        }
        all.extend(functions.iter().map(|one| (name_of(one), one.clone())));
        let saved = SavedPush {
            service: push.service.clone(),
            config_version: push.config_version.clone(),
            nodes: push.nodes.clone(),
            functions: functions.len(),
            pull: push.service_config().or(before.pull),
            fun_configs: all.into_values().collect(),
        };
        self.write(&saved)?;
        self.kept
            .lock()
            .insert(push.service.clone(), Kept::of(&saved));
        Ok(())
    }

    /// Forgets a service.
    pub(super) fn delete(&self, service: &str) -> io::Result<()> {
        self.kept.lock().remove(service);
        match fs::remove_file(self.directory.join(file_name(service))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => sync_directory(&self.directory),
        }
    }

    fn write(&self, push: &SavedPush) -> io::Result<()> {
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
    fn of(push: &SavedPush) -> Self {
        Self {
            functions: push.fun_configs.iter().map(name_of).collect(),
            pull: push.pull.clone(),
        }
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
            tracing::error!(path = %path.display(), %error, "cannot rename a file that cannot be used");
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
