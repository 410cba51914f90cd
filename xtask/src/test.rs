//! `cargo xtask test`: every test there is. First what any user can run (formatting, clippy, units,
//! Miri), then, as root, what loads the program into this machine's kernel. Nothing is skipped in
//! silence: without root the kernel tests are a failure that says how to run them.

use std::{env, ffi::OsString, process::Command};

use anyhow::Result;

use crate::{
    build, cmd,
    setup::{self, Want},
    tally::Tally,
    toolchain::{self, Road},
};

/// Run every test: formatting, clippy, units, and as root those in the kernel
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only what needs neither root nor a BPF toolchain
    #[arg(long, conflicts_with = "kernel")]
    unit: bool,
    /// Only what needs root
    #[arg(long)]
    kernel: bool,
}

/// Runs the tests and prints the closing line.
pub(crate) fn run(args: Args) -> Result<()> {
    let mut tally = Tally::default();
    if !args.kernel {
        unprivileged(&mut tally, args.unit);
    }
    if !args.unit {
        if cmd::is_root() {
            privileged(&mut tally);
        } else {
            let flag = if args.kernel { " --kernel" } else { "" };
            tally.fail(format!(
                "the kernel tests need root: sudo -E env PATH=\"$PATH\" cargo xtask test{flag}"
            ));
        }
    }
    tally.close("cargo xtask test")
}

/// What the units leave out: what only the kernel's target compiles, and what needs root.
const KERNEL_SIDE: [&str; 4] = ["--exclude", "icmp-ebpf", "--exclude", "icmpgate-tests"];

fn unprivileged(tally: &mut Tally, only: bool) {
    tally.check("formatting", cmd::cargo().args(["fmt", "--all", "--check"]));

    let clippy = ["clippy", "--workspace", "--exclude", "icmp-ebpf", "--all-targets"];
    tally.check("clippy", cmd::cargo().args(clippy).args(["--", "-D", "warnings"]));
    // A machine without a BPF toolchain does what it can, unless all tests are asked for by root,
    // who can install one.
    let want = Want { clippy: true, ..Want::default() };
    let leave_out = only || !cmd::is_root();
    let road = if leave_out { setup::there(want) } else { setup::ensure(want) };
    match road {
        Ok(road) => kernel_clippy(tally, road),
        Err(why) if leave_out => println!("==> clippy of the kernel side: left out: {why:#}"),
        Err(error) => tally.fail(format!("clippy of the kernel side: {error:#}")),
    }

    tally.tests(
        "units",
        cmd::cargo().args(["test", "--no-fail-fast", "--workspace"]).args(KERNEL_SIDE),
    );
    miri(tally);
}

/// Clippy for the target that the kernel side is written for: on the host's, half of it isn't
/// compiled.
fn kernel_clippy(tally: &mut Tally, road: Road) {
    let name = "clippy of the kernel side";
    let Some(mut cmd) = road.clippy() else {
        return tally
            .fail(format!("{name}: run `rustup component add --toolchain nightly clippy`"));
    };
    cmd.args(["--package", "icmp-ebpf"]);
    match toolchain::for_bpf(&mut cmd) {
        Ok(cmd) => tally.check(name, cmd.args(["--", "-D", "warnings"])),
        Err(error) => tally.fail(format!("{name}: {error:#}")),
    }
}

/// The cursor holds the only unsafe packet reads, and Miri sees what a test on hardware doesn't.
fn miri(tally: &mut Tally) {
    const TEST: [&str; 6] = ["miri", "test", "--package", "icmp-common", "--lib", "cursor"];
    if !toolchain::has_miri() {
        println!(
            "==> miri: skipped: there is no nightly with miri and rust-src here; after `rustup \
             component add --toolchain nightly miri rust-src` it is `cargo +nightly {}`",
            TEST.join(" ")
        );
        return;
    }
    tally.tests("miri", Road::Nightly.cargo().args(TEST));
}

fn privileged(tally: &mut Tally) {
    let built = setup::ensure(Want { tests: true, bpffs: true, ..Want::default() })
        .and_then(build::object)
        .and_then(|_| build::program(true));
    let program = match built {
        Ok(program) => program,
        Err(error) => return tally.fail(format!("building for the kernel tests: {error:#}")),
    };
    let mut cmd = tests_command();
    cmd.arg("--no-fail-fast").env("ICMPGATE_BIN", program);
    tally.tests("kernel tests", &mut cmd);
}

/// `cargo test` of the kernel tests, with promtool in `PATH`.
pub(crate) fn tests_command() -> Command {
    let mut cmd = cmd::cargo();
    cmd.args(["test", "--package", "icmpgate-tests"]).env("PATH", path_with_tools());
    cmd
}

fn path_with_tools() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = env::split_paths(&path).chain([setup::tools_dir()]);
    env::join_paths(all).unwrap_or(path)
}
