//! A server in a process of its own: started, looked at, and gone with its handle.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use crate::SERVE;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts one of the [servers](crate::servers), and waits until it can be connected to.
    pub(crate) fn start(name: &str) -> Self {
        let program = env::current_exe().expect("the path of this program");
        let mut child = Command::new(program)
            .args([SERVE, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let address = line.trim().parse().expect("the address of the server");
        Self { child, address }
    }

    /// The resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).expect("the status of the process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes
            .and_then(|number| number.parse().ok())
            .expect("a number");
        kilobytes * 1_024
    }

    /// The time that its threads have had the processor.
    pub(crate) fn processor_time(&self) -> Duration {
        let path = format!("/proc/{}/task", self.child.id());
        let threads = fs::read_dir(path).expect("the threads of the process");
        let nanoseconds = threads.filter_map(|thread| {
            let path = thread.ok()?.path().join("schedstat");
            let stat = fs::read_to_string(path).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(nanoseconds.sum())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without effect where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the server: says where it can be connected to, and ends the process with the one that started it.
pub(crate) fn announce(address: SocketAddr) {
    println!("{address}");
    thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
}
