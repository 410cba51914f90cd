//! The product itself: the real program, started in the protected namespace and asked for its
//! metrics there.

use crate::metrics::Counts;
use crate::{
    netns, signal,
    stage::{GATE, Stage},
};
use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, setsid},
};
use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Where its metrics are, inside its namespace: the default.
pub const METRICS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9917);

/// How long it may take to be verified and attached, and to detach.
const READY: Duration = Duration::from_secs(30);
const GONE: Duration = Duration::from_secs(10);

/// The running program. Dropped, it is stopped.
pub struct Gate {
    child: Child,
    log: PathBuf,
    kept: bool,
}

impl Gate {
    /// Starts it with a policy and waits until it filters. With `keep` it outlives this process.
    ///
    /// # Errors
    /// Where it doesn't start, or isn't ready in time: with what it said.
    pub fn start(program: &Path, stage: &Stage, policy: &str, keep: bool) -> Result<Self> {
        let file = stage.folder.join("policy.toml");
        fs::write(&file, policy)?;
        let log = stage.folder.join("log");
        let mut command = Command::new(program);
        command.args(["run", "--iface", GATE, "--mode", "native", "--policy"]).arg(file);
        command.arg("--metrics").arg(METRICS.to_string());
        command.arg("--pin-dir").arg(stage.pins.path());
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Out of reach of a ctrl-C either way.
        if keep {
            // SAFETY: between fork and exec there is one system call.
            unsafe { command.pre_exec(|| Ok(setsid().map(drop)?)) };
        } else {
            command.process_group(0);
            netns::dies_with_us(&mut command, libc::SIGTERM);
        }
        stage.gate.inside(&mut command)?;
        let child =
            command.spawn().with_context(|| format!("can't start {}", program.display()))?;
        let mut gate = Self { child, log, kept: false };
        gate.until_ready()?;
        Ok(gate)
    }

    fn until_ready(&mut self) -> Result<()> {
        let mut ended = None;
        let ready = signal::wait(READY, || {
            ended = self.child.try_wait()?;
            anyhow::Ok(ended.is_some() || self.said("ready")?)
        })?;
        match ended {
            Some(status) => {
                bail!("icmpgate ended before it was ready ({status}): {}", self.words())
            }
            None if !ready => bail!("icmpgate isn't ready after {READY:?}: {}", self.words()),
            None => Ok(()),
        }
    }

    fn said(&self, word: &str) -> Result<bool> {
        Ok(fs::read_to_string(&self.log)?.lines().any(|l| l.contains(word)))
    }

    /// What it has said so far.
    #[must_use]
    pub fn words(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default().trim().replace('\n', "; ")
    }

    /// Its number as a process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its number and its log, for whoever takes it over.
    pub fn keep(&mut self) -> (u32, &Path) {
        self.kept = true;
        (self.child.id(), &self.log)
    }

    /// Asks it for what it has counted.
    ///
    /// # Errors
    /// Where it ended, or doesn't answer.
    pub fn scrape(&mut self, stage: &Stage) -> Result<Counts> {
        signal::check()?;
        if let Some(status) = self.child.try_wait()? {
            bail!("icmpgate ended in the middle ({status}): {}", self.words());
        }
        let text = stage.gate.run(|| get(METRICS)).context("can't read the metrics")?;
        Ok(Counts::read(&text))
    }

    fn stop(&mut self) -> Result<()> {
        let number = Pid::from_raw(self.child.id().cast_signed());
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(number, Signal::SIGTERM)?;
        let end = std::time::Instant::now() + GONE;
        // Not `signal::wait`: this is done after a signal, too.
        while self.child.try_wait()?.is_none() {
            if std::time::Instant::now() > end {
                self.child.kill()?;
                self.child.wait()?;
                bail!("icmpgate had to be killed: it didn't end within {GONE:?} of SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = self.stop()
        {
            eprintln!("icmpgate, started for this: {error:#}");
        }
    }
}

/// One HTTP request. Version 1.0: the answer ends where the connection does.
///
/// # Errors
/// Where nobody answers, or not with 200.
pub fn get(address: SocketAddr) -> Result<String> {
    let most = Duration::from_secs(5);
    let mut stream = TcpStream::connect_timeout(&address, most)?;
    stream.set_read_timeout(Some(most))?;
    write!(stream, "GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer to an HTTP request")?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200") {
        bail!("{status}: {}", body.trim());
    }
    Ok(body.to_owned())
}
