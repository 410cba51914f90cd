//! The road to a BPF object. `core` must be compiled for `bpfel-unknown-none`, which takes a
//! compiler with unstable features and the sources of `core`, and a `bpf-linker` built for that
//! compiler's LLVM. Two roads lead there, and both build the same source:
//!
//! - [`Road::Nightly`]: rustup's nightly with its component `rust-src`. It couldn't be tried on the
//!   project's own machines, which have no such toolchain.
//! - [`Road::Debian`]: Debian's `rustc-web`, `cargo-web` and `rust-web-src`, which live in /usr/bin
//!   beside rustup's toolchains and are unlocked by `RUSTC_BOOTSTRAP=1`. CI takes this one.

use std::{
    env,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::cmd;

/// The target of the kernel side.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// The bpf-linker that is installed, and the least that is accepted.
pub(crate) const LINKER_VERSION: &str = "0.13.0";

/// The LLVMs that this bpf-linker can be built for.
pub(crate) const LINKER_LLVMS: std::ops::RangeInclusive<u32> = 21..=23;

/// What a machine without either road is told to type.
pub(crate) const NIGHTLY_COMMAND: &str = "rustup toolchain install nightly --component rust-src";

/// What cargo, rustup or a shell may have left in the environment for another toolchain than ours.
const FOREIGN: [&str; 14] = [
    "CARGO",
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Which compiler builds the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Road {
    /// rustup's nightly with `rust-src`.
    Nightly,
    /// Debian's packages of Rust for its browsers.
    Debian,
}

impl Road {
    /// The road that this machine has, whether or not something still lacks on it.
    ///
    /// # Errors
    /// Neither: the error says which command would open one.
    pub(crate) fn find() -> Result<Self> {
        if nightly_sources().is_some() {
            return Ok(Self::Nightly);
        }
        if cmd::which("apt-get").is_some() && cmd::which("dpkg-query").is_some() {
            return Ok(Self::Debian);
        }
        let first = if cmd::which("rustup").is_some() { "" } else { "install rustup, then " };
        bail!("no compiler for BPF here: {first}run `{NIGHTLY_COMMAND}`, then this again")
    }

    /// This road's compiler.
    pub(crate) fn rustc(self) -> Command {
        self.program("rustc")
    }

    /// This road's cargo, in the workspace's root.
    pub(crate) fn cargo(self) -> Command {
        self.program("cargo")
    }

    /// This road's `cargo clippy`, or nothing where it isn't installed.
    pub(crate) fn clippy(self) -> Option<Command> {
        match self {
            Self::Nightly => nightly_dir()?.join("bin/cargo-clippy").is_file().then(|| {
                let mut cmd = self.cargo();
                cmd.arg("clippy");
                cmd
            }),
            Self::Debian => {
                // Started directly, since `cargo clippy` would look in ~/.cargo/bin first and find
                // rustup's. It runs the driver that lies beside it, and the cargo that it's told.
                Path::new("/usr/bin/cargo-clippy").is_file().then(|| {
                    let mut cmd = self.program("cargo-clippy");
                    cmd.arg("clippy").env("CARGO", "/usr/bin/cargo");
                    cmd
                })
            }
        }
    }

    fn program(self, name: &str) -> Command {
        let mut cmd = match self {
            Self::Nightly => {
                let mut cmd = Command::new("rustup");
                cmd.args(["run", "nightly", name]);
                cmd
            }
            Self::Debian => Command::new(Path::new("/usr/bin").join(name)),
        };
        for name in FOREIGN {
            cmd.env_remove(name);
        }
        if self == Self::Debian {
            cmd.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        cmd.current_dir(cmd::root());
        cmd
    }

    /// Version of the compiler and of its LLVM.
    pub(crate) fn version(self) -> Result<(String, u32)> {
        let text = cmd::output(self.rustc().arg("-vV"))?;
        let found = release_of(&text).zip(llvm_of(&text));
        let (release, llvm) = found.with_context(|| format!("`rustc -vV` said: {text}"))?;
        Ok((release.to_owned(), llvm))
    }
}

/// Makes the command compile for the BPF target as the kernel side needs it.
pub(crate) fn for_bpf(cmd: &mut Command) -> Result<&mut Command> {
    let flags = [
        // Which registers a program context has, for aya's bindings.
        format!("--cfg=bpf_target_arch=\"{}\"", env::consts::ARCH),
        // BTF is made of the debug information.
        "-Cdebuginfo=2".into(),
        "-Clink-arg=--btf".into(),
        // 32-bit ALU and jumps, atomics with a result: every kernel since 5.12.
        "-Ctarget-cpu=v3".into(),
        // One load instead of eight where a header isn't aligned.
        "-Ctarget-feature=+allows-misaligned-mem-access".into(),
    ];
    let linker = linker().context("bpf-linker is not installed: run `cargo xtask setup`")?;
    Ok(cmd
        .args(["--release", "--target", TARGET, "-Z", "build-std=core"])
        .arg("--target-dir")
        .arg(cmd::root().join("target/bpf-build"))
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker))
}

fn home(var: &str, folder: &str) -> Option<PathBuf> {
    let set = env::var_os(var).map(PathBuf::from);
    set.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(folder)))
}

/// Where rustup keeps its nightly. Looked up in the file system, since asking rustup for a
/// toolchain that isn't there may make it download one.
fn nightly_dir() -> Option<PathBuf> {
    cmd::which("rustup")?;
    let name = format!("nightly-{}-unknown-linux-gnu", env::consts::ARCH);
    Some(home("RUSTUP_HOME", ".rustup")?.join("toolchains").join(name))
}

fn nightly_sources() -> Option<PathBuf> {
    let core = nightly_dir()?.join("lib/rustlib/src/rust/library/core/src/lib.rs");
    core.is_file().then_some(core)
}

/// Whether `cargo +nightly miri` would run without installing anything.
pub(crate) fn has_miri() -> bool {
    nightly_sources().is_some()
        && nightly_dir().is_some_and(|dir| dir.join("bin/cargo-miri").is_file())
}

/// The bpf-linker in `PATH`, or where `cargo install` puts it (which sudo may leave out of `PATH`).
pub(crate) fn linker() -> Option<PathBuf> {
    let installed = || home("CARGO_HOME", ".cargo").map(|dir| dir.join("bin/bpf-linker"));
    cmd::which("bpf-linker").or_else(|| installed().filter(|file| file.is_file()))
}

/// Whether the installed bpf-linker serves a compiler of this LLVM; if not, why.
pub(crate) fn linker_state(llvm: u32) -> Result<String, String> {
    let Some(file) = linker() else { return Err("not installed".into()) };
    let text = cmd::output(Command::new(&file).arg("--version"))
        .map_err(|_| format!("{} doesn't run", file.display()))?;
    let version = text.trim().trim_start_matches("bpf-linker ").to_owned();
    if numbers(&version) < numbers(LINKER_VERSION) {
        return Err(format!("{version} is older than {LINKER_VERSION}"));
    }
    // It doesn't tell its LLVM, but one that is linked to it dynamically names the library. A
    // static one names none and is taken at its word. The names stand at the head of the file.
    let mut head = Vec::new();
    File::open(&file)
        .and_then(|open| open.take(1 << 18).read_to_end(&mut head))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    match linked_llvm(&head) {
        Some(other) if other != llvm => Err(format!("built for LLVM {other}, not {llvm}")),
        _ => Ok(version),
    }
}

/// `1.2.3` as numbers, to compare.
pub(crate) fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    parts.filter_map(|part| part.parse().ok()).collect()
}

fn release_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("release: "))
}

fn llvm_of(text: &str) -> Option<u32> {
    let version = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

/// The major version in the name of the LLVM library that an executable asks for.
fn linked_llvm(executable: &[u8]) -> Option<u32> {
    let name = b"libLLVM.so.";
    let start = executable.windows(name.len()).position(|part| part == name)? + name.len();
    let digits: Vec<u8> =
        executable[start..].iter().copied().take_while(u8::is_ascii_digit).collect();
    String::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const VV: &str = "rustc 1.96.0 (ac68faa20 2026-05-25)\nhost: x86_64-unknown-linux-gnu\n\
                      release: 1.96.0\nLLVM version: 22.1.8\n";

    #[test]
    fn the_compiler_names_its_llvm() {
        assert_eq!(llvm_of(VV), Some(22));
        assert_eq!(release_of(VV), Some("1.96.0"));
        assert_eq!(llvm_of("release: 1.96.0\n"), None);
    }

    #[test]
    fn a_linker_names_its_llvm() {
        assert_eq!(linked_llvm(b"\0libLLVM.so.22.1\0libc.so.6\0"), Some(22));
        assert_eq!(linked_llvm(b"\0libc.so.6\0"), None);
        assert_eq!(linked_llvm(b"libLLVM.so."), None);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(numbers("0.9.13") < numbers("0.13.0"));
        assert!(numbers("6.12.99+deb12") < numbers("6.12.117+deb12"));
    }
}
