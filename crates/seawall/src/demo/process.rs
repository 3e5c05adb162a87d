//! The demo's child processes: started on a leash, so that none outlives the demo however that ends.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How often a wait for a child looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A child process that dies with this value, and with the demo.
pub(crate) struct Leashed {
    child: Child,
}

impl Leashed {
    /// Starts `program` through this very binary's `demo leash`, which asks the kernel to kill it when
    /// the demo's main thread ends. What it prints goes to `log`.
    pub(crate) fn start<I, S>(program: &OsStr, args: I, log: &Path) -> io::Result<Self>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(std::env::current_exe()?)
            .args(["demo", "leash", "--"])
            .arg(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Ok(Self { child })
    }

    /// Sends a signal; a child that has ended already is no error.
    pub(crate) fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.map_or(Ok(()), |pid| kill_process(pid, signal).map_err(io::Error::from))
    }

    /// Kills it (`SIGKILL`) and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks it to stop (`SIGTERM`) and waits at most `patience`; then kills it. `None` if it had to be killed.
    pub(crate) fn stop(&mut self, patience: Duration) -> io::Result<Option<ExitStatus>> {
        self.signal(Signal::TERM)?;
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.ended()? {
                return Ok(Some(status));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        self.kill()?;
        Ok(None)
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        // Nothing is left to tell if even SIGKILL fails; the leash is the second line.
        let _ = self.kill();
    }
}

/// `seawall demo leash`: becomes `command`, to be killed by the kernel once the parent's thread ends.
///
/// Returns only if that fails.
pub(crate) fn leash(command: &[OsString]) -> io::Error {
    use std::os::unix::process::CommandExt;

    #[cfg(target_os = "linux")]
    if let Err(e) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        return e.into();
    }
    match command.split_first() {
        Some((program, args)) => Command::new(program).args(args).exec(),
        None => io::Error::new(io::ErrorKind::InvalidInput, "no command to start"),
    }
}

/// A loopback address that was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}
