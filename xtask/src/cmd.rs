//! Running other programs: one way to start them, one form of error (the command as a person would
//! type it, and how it ended), and what is asked of the machine along the way.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result, bail};

/// The root of the workspace: the folder above this crate.
pub(crate) fn root() -> PathBuf {
    // Cargo tells a program that it runs where its crate is now; the compiled-in path is for an
    // xtask that was started by hand.
    let manifest =
        env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where the host side is built: cargo's own target directory.
pub(crate) fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(PathBuf::from(dir)))
}

/// The cargo that started us, in the workspace's root: what builds and tests the host side.
pub(crate) fn cargo() -> Command {
    let mut cmd = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cmd.current_dir(root());
    cmd
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    // The owner of /proc/self is the effective user.
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// Finds a program in `PATH`, or where Debian keeps what only root usually runs.
pub(crate) fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| fs::metadata(file).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0))
}

/// The command as a person would type it, with what it sets in the environment in front.
pub(crate) fn shown(cmd: &Command) -> String {
    let vars = cmd.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
        match &*name {
            // Long, and what it adds is no more than a tool's folder.
            "PATH" => None,
            "CARGO_ENCODED_RUSTFLAGS" => {
                Some(format!("RUSTFLAGS={}", quoted(&value.replace('\x1f', " "))))
            }
            _ => Some(format!("{name}={}", quoted(&value))),
        }
    });
    let words = std::iter::once(cmd.get_program()).chain(cmd.get_args());
    let words = words.map(|word| quoted(&word.to_string_lossy()));
    vars.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs the command with our own output; anything but success is an error that names it.
pub(crate) fn run(cmd: &mut Command) -> Result<()> {
    let status = cmd.status().with_context(|| format!("can't start `{}`", shown(cmd)))?;
    ended(cmd, status)
}

/// Runs the command and returns what it printed; its complaints are part of the error.
pub(crate) fn output(cmd: &mut Command) -> Result<String> {
    let out = cmd.output().with_context(|| format!("can't start `{}`", shown(cmd)))?;
    if !out.status.success() {
        let complaint = String::from_utf8_lossy(&out.stderr);
        bail!("`{}` failed ({}): {}", shown(cmd), out.status, complaint.trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// Runs the command and hands over each line of its standard output as it comes; its standard
/// error is ours.
pub(crate) fn lines(cmd: &mut Command, mut line: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = cmd
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("can't start `{}`", shown(cmd)))?;
    let out = child.stdout.take().context("no standard output")?;
    for bytes in BufReader::new(out).split(b'\n') {
        line(&String::from_utf8_lossy(&bytes?));
    }
    Ok(child.wait()?)
}

/// An error that names the command, unless it succeeded.
pub(crate) fn ended(cmd: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("`{}` failed ({status})", shown(cmd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut cmd = Command::new("cargo");
        cmd.args(["test", "-p", "a b"]).env("X", "1 2").env("PATH", "/bin").env_remove("Y");
        assert_eq!(shown(&cmd), "X='1 2' cargo test -p 'a b'");
        let mut cmd = Command::new("cargo");
        cmd.env("CARGO_ENCODED_RUSTFLAGS", "-Ca\x1f-Cb");
        assert_eq!(shown(&cmd), "RUSTFLAGS='-Ca -Cb' cargo");
    }

    #[test]
    fn an_error_names_the_command_and_its_end() {
        let error = run(Command::new("false").arg("x")).unwrap_err();
        assert_eq!(error.to_string(), "`false x` failed (exit status: 1)");
        let error = output(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        assert!(error.to_string().ends_with("failed (exit status: 3): why"), "{error}");
        let error = run(&mut Command::new("/no/such")).unwrap_err();
        assert_eq!(error.to_string(), "can't start `/no/such`");
    }

    #[test]
    fn lines_arrive_one_by_one() {
        let mut seen = Vec::new();
        let mut cmd = Command::new("printf");
        lines(cmd.arg("a\\nb"), |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(seen, ["a", "b"]);
    }

    #[test]
    fn programs_are_found() {
        assert!(which("sh").is_some());
        assert!(which("no-such-program-here").is_none());
    }
}
