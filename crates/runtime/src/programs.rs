//! The seam to other programs: one is run to its end, and leaves nothing behind.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::{
    io::{AsyncReadExt, unix::AsyncFd},
    net::unix::pipe,
};

/// Bytes that are read at once.
const PIECE: usize = 8 * 1024;
/// Most pieces that are read of what a program had written when it ended: more than a pipe holds.
const LAST_PIECES: usize = 32;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// That signal.
    pub signal: Option<i32>,
    /// The end of what it wrote to its standard output and error.
    pub output: Vec<u8>,
}

/// Runs programs.
pub trait Programs: Send + Sync + 'static {
    /// Runs a program with its arguments, without a shell, in a process group of its own, in `/`, without environment or
    /// input, and waits for its end; up to `most` bytes of what it writes last are kept. Whatever of its group is left
    /// then is killed. Cancelled, it is killed with its group.
    fn run<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [Arc<str>],
        most: usize,
    ) -> BoxFuture<'a, io::Result<Ended>>;
}

/// The system's.
#[derive(Debug, Default)]
pub struct SystemPrograms {
    /// Killed, and perhaps not ended yet.
    killed: Mutex<Vec<Child>>,
}

/// There are none, as in a simulation.
#[derive(Debug, Clone, Copy)]
pub struct NoPrograms;

impl Programs for NoPrograms {
    fn run<'a>(&'a self, _: &'a str, _: &'a [Arc<str>], _: usize) -> BoxFuture<'a, io::Result<Ended>> {
        Box::pin(async { Err(io::Error::new(io::ErrorKind::Unsupported, "there are no programs here")) })
    }
}

impl Programs for SystemPrograms {
    fn run<'a>(
        &'a self,
        program: &'a str,
        arguments: &'a [Arc<str>],
        most: usize,
    ) -> BoxFuture<'a, io::Result<Ended>> {
        Box::pin(async move {
            self.reap();
            let (reader, writer) = io::pipe()?;
            let child = Command::new(program)
                .args(arguments.iter().map(|argument| &**argument))
                .env_clear()
                .current_dir("/")
                .stdin(Stdio::null())
                .stdout(writer.try_clone()?)
                .stderr(writer)
                .process_group(0)
                .spawn()?;
            let mut running = Running { child: Some(child), programs: self };
            let mut output = Tail { kept: Vec::new(), most };
            running.end(reader.into(), &mut output).await?;
            let status = running.reap()?;
            Ok(Ended { code: status.code(), signal: status.signal(), output: output.kept })
        })
    }
}

impl SystemPrograms {
    /// Takes note of the end of those that were killed.
    fn reap(&self) {
        let mut killed = self.killed.lock().unwrap_or_else(PoisonError::into_inner);
        killed.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
    }
}

/// A program that runs, or whose end nobody has taken note of, so that its number is its own.
struct Running<'a> {
    child: Option<Child>,
    programs: &'a SystemPrograms,
}

impl Running<'_> {
    /// Waits for its end, and takes in what it writes until then.
    async fn end(&self, reader: OwnedFd, output: &mut Tail) -> io::Result<()> {
        let Some(child) = &self.child else { return Ok(()) };
        // Readable once it has ended, which leaves the note of it to be taken.
        let note = pidfd_open(Pid::from_child(child), PidfdFlags::NONBLOCK)?;
        #[expect(deprecated, reason = "what replaces it is unsafe; an owned descriptor is safe in it")]
        let ended = AsyncFd::new(note)?;
        let mut said = pipe::Receiver::from_owned_fd(reader)?;
        let (mut piece, mut open) = ([0; PIECE], true);
        loop {
            // A cancelled arm loses nothing: what is not read stays in the pipe.
            tokio::select! {
                biased;
                ready = ended.readable() => {
                    ready?.retain_ready();
                    break;
                }
                read = said.read(&mut piece), if open => match read? {
                    0 => open = false,
                    length => output.take(&piece[..length]),
                },
            }
        }
        // What it has written is there. Who left its group may write for ever, and is not waited for.
        for _ in 0..LAST_PIECES {
            match said.try_read(&mut piece) {
                Ok(length @ 1..) => output.take(&piece[..length]),
                Ok(0) | Err(_) => break,
            }
        }
        Ok(())
    }

    /// Kills what is left of its group, and takes note of its end.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        self.kill();
        let mut child = self.child.take().ok_or(io::ErrorKind::NotFound)?;
        child.wait()
    }

    fn kill(&self) {
        if let Some(child) = &self.child {
            // It fails where nobody is left.
            let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.kill();
        if let Some(mut child) = self.child.take()
            && matches!(child.try_wait(), Ok(None))
        {
            self.programs.killed.lock().unwrap_or_else(PoisonError::into_inner).push(child);
        }
    }
}

/// The end of what is written.
struct Tail {
    kept: Vec<u8>,
    most: usize,
}

impl Tail {
    fn take(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(piece);
        self.kept.drain(..self.kept.len().saturating_sub(self.most));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const SHELL: &str = "/bin/sh";

    async fn sh(programs: &SystemPrograms, script: &str, most: usize) -> Ended {
        programs.run(SHELL, &["-c".into(), script.into()], most).await.unwrap()
    }

    /// Is anybody of the group there, who is more than a process that has ended?
    fn lives(group: &str) -> bool {
        let stats = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
            // After the name, which may hold anything: state, parent, group (proc(5)).
            Some(stat.rsplit_once(") ")?.1.to_owned())
        });
        let of = |stat: &str| {
            let mut fields = stat.split(' ');
            fields.next() != Some("Z") && fields.nth(1) == Some(group)
        };
        stats.into_iter().any(|stat| of(&stat))
    }

    #[tokio::test]
    async fn how_it_ended_and_what_it_said_last_is_told() {
        let programs = SystemPrograms::default();
        let ended = sh(&programs, "echo out; echo err >&2; exit 3", 100).await;
        assert_eq!((ended.code, ended.signal, &ended.output[..]), (Some(3), None, &b"out\nerr\n"[..]));
        let ended = sh(&programs, "kill -TERM $$", 100).await;
        assert_eq!((ended.code, ended.signal), (None, Some(15)));
        // Far more than a pipe holds.
        let ended = sh(&programs, "seq 100000; echo end", 8).await;
        assert_eq!(ended.output, b"000\nend\n");
        assert!(programs.run("/nowhere", &[], 1).await.is_err());
    }

    #[tokio::test]
    async fn it_has_no_environment_no_input_and_its_own_group() {
        let programs = SystemPrograms::default();
        let ended = programs.run("/usr/bin/env", &[], 1_000).await.unwrap();
        assert_eq!((ended.code, &ended.output[..]), (Some(0), &b""[..]));
        let script = "cat; pwd; test $$ -eq $(cut -d' ' -f5 /proc/self/stat) && echo own";
        assert_eq!(sh(&programs, script, 100).await.output, b"/\nown\n");
    }

    #[tokio::test]
    async fn what_it_leaves_is_killed() {
        let programs = SystemPrograms::default();
        let ended = sh(&programs, "sleep 1000 & echo $$", 100).await;
        let group = String::from_utf8(ended.output).unwrap();
        assert!(ended.code == Some(0) && !group.trim().is_empty());
        until_gone(group.trim());
    }

    #[tokio::test]
    async fn cancelled_it_is_killed_with_its_children() {
        let programs = SystemPrograms::default();
        let dir = tempfile::tempdir().unwrap();
        let note = dir.path().join("group");
        let script = format!("echo $$ > {}.new; mv {0}.new {0}; sleep 1000 & sleep 1000", note.display());
        let arguments = ["-c".into(), script.into()];
        let started = async {
            while !note.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = programs.run(SHELL, &arguments, 1) => panic!("it sleeps"),
            () = started => {}
        }
        let group = std::fs::read_to_string(note).unwrap();
        until_gone(group.trim());
        // Nobody is left to be taken note of, in the end.
        let since = Instant::now();
        while !programs.killed.lock().unwrap().is_empty() {
            assert!(since.elapsed() < Duration::from_secs(20));
            programs.reap();
        }
    }

    /// A process that was killed takes a moment to end.
    fn until_gone(group: &str) {
        let since = Instant::now();
        while lives(group) {
            assert!(since.elapsed() < Duration::from_secs(20), "group {group} lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
