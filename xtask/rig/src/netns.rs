//! A named network namespace: doing things in it.
//!
//! `ip netns exec` mounts /sys anew and so hides /sys/fs/bpf; here only the network is changed, of a
//! thread or of a process that is being started.

use crate::{apart, signal};
use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, setns};
use std::{
    fs::{self, File},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";

/// A namespace by its name.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: String,
}

/// The names of all that there are.
#[must_use]
pub fn names() -> Vec<String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Runs `ip` with these words, separated by spaces.
///
/// # Errors
/// What `ip` says.
pub fn ip(words: &str) -> Result<()> {
    let out = Command::new("ip")
        .args(words.split(' '))
        .stdin(Stdio::null())
        // Out of reach of a ctrl-C, which is for the story: it then clears away.
        .process_group(0)
        .output()
        .context("can't start ip")?;
    if !out.status.success() {
        bail!("`ip {words}`: {}", String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(())
}

impl Namespace {
    /// Of this name, whether it is there or not.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        Path::new(FOLDER).join(&self.name)
    }

    /// Makes it.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn create(&self) -> Result<()> {
        ip(&format!("netns add {}", self.name))
    }

    /// Removes it, if it is there. What holds its last process or socket keeps it alive unnamed.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn remove(&self) -> Result<()> {
        if self.path().exists() { ip(&format!("netns del {}", self.name)) } else { Ok(()) }
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// What `ip` says.
    pub fn ip(&self, words: &str) -> Result<()> {
        ip(&format!("-n {} {words}", self.name))
    }

    /// Sets a value below /proc/sys/net.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn sysctl(&self, path: &str, value: &str) -> Result<()> {
        let file = Path::new("/proc/sys/net").join(path);
        self.run(|| fs::write(&file, value).with_context(|| format!("can't set {path}")))
    }

    /// Calls this in a thread whose network is this one. Sockets that it returns stay in it.
    ///
    /// # Errors
    /// Where it can't be entered, and those of `what`.
    pub fn run<T: Send>(&self, what: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let file = self.open()?;
        apart::run(|| {
            setns(file, CloneFlags::CLONE_NEWNET).context("can't enter the namespace")?;
            what()
        })
    }

    /// Has this command's network be this one.
    ///
    /// # Errors
    /// Where it isn't there.
    pub fn inside(&self, command: &mut Command) -> Result<()> {
        let file = self.open()?;
        let enter = move || Ok(setns(&file, CloneFlags::CLONE_NEWNET)?);
        // SAFETY: between fork and exec there is one system call, on a descriptor that is open.
        unsafe { command.pre_exec(enter) };
        Ok(())
    }

    /// Runs a tool in it for at most this long, and returns what it printed, however it ended.
    ///
    /// # Errors
    /// Where it can't be started, or takes longer.
    pub fn tool(&self, words: &str, most: Duration) -> Result<String> {
        let (program, args) = words.split_once(' ').unwrap_or((words, ""));
        let mut command = Command::new(program);
        command.args(args.split(' ')).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Out of reach of a ctrl-C, which is for the story.
        command.process_group(0);
        dies_with_us(&mut command, libc::SIGKILL);
        self.inside(&mut command)?;
        let mut child = command.spawn().with_context(|| {
            format!("can't start {program}: `cargo xtask setup --tests` installs it")
        })?;
        // What these tools print fits the pipe, so that they never wait for its reader.
        let ended = signal::wait(most, || anyhow::Ok(child.try_wait()?.is_some()));
        if !matches!(ended, Ok(true)) {
            child.kill()?;
        }
        let out = child.wait_with_output()?;
        if !ended? {
            bail!("`{words}` took more than {} s", most.as_secs());
        }
        let text = [out.stdout, out.stderr].concat();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn open(&self) -> Result<File> {
        let path = self.path();
        File::open(&path).with_context(|| format!("no namespace {}", path.display()))
    }
}

/// Has this command get a signal when the story dies without a word.
pub fn dies_with_us(command: &mut Command, signal: i32) {
    let ask = move || {
        // SAFETY: a system call without pointers.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: between fork and exec there is one system call.
    unsafe { command.pre_exec(ask) };
}
