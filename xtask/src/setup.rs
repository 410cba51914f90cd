//! `cargo xtask setup`: makes a machine ready to build and, with `--tests`, to test.
//!
//! It looks for what lacks, says what it will install, and installs it. Where nothing lacks it does
//! nothing, so every other command starts by calling [`ensure`]. Three rules: a package is never
//! removed to make room for another; no service is started; nothing comes from anywhere but
//! Debian's packages and crates.io. (rustup's toolchains come from neither, so a nightly is used
//! where it is there, and otherwise only named in the error.)

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    cmd, qemu,
    toolchain::{self, LINKER_LLVMS, LINKER_VERSION, NIGHTLY_COMMAND, Road, numbers},
};

/// Make this machine ready to build icmpgate, installing what lacks
///
/// The kernel side is built by rustup's nightly where that has rust-src (a road that couldn't be
/// tried on the project's own machines), else by Debian's rustc-web and cargo-web. Installs Debian
/// packages and bpf-linker from crates.io, and nothing else; says so before; mounts bpffs. Where
/// all is there, it does nothing.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also what `cargo xtask test` and `cargo xtask vm` need
    #[arg(long)]
    tests: bool,
}

/// What a command needs beyond a compiler for the kernel side.
#[derive(Clone, Copy, Default)]
pub(crate) struct Want {
    /// Clippy for the kernel side.
    pub(crate) clippy: bool,
    /// The programs that the story of `cargo xtask run` calls.
    pub(crate) story: bool,
    /// The programs that the tests call.
    pub(crate) tests: bool,
    /// The filters that `cargo xtask bench --live` compares with, and what sets up their interfaces.
    pub(crate) live: bool,
    /// qemu, and what packs an initramfs.
    pub(crate) vm: bool,
    /// bpffs mounted at /sys/fs/bpf.
    pub(crate) bpffs: bool,
}

/// Something to look for, and the Debian package that brings it.
struct Tool {
    package: &'static str,
    /// A name to be found in `PATH`, or the full path of a file.
    file: &'static str,
}

const fn tool(package: &'static str, file: &'static str) -> Tool {
    Tool { package, file }
}

const TEST_TOOLS: [Tool; 14] = [
    tool("iproute2", "ip"),
    tool("iputils-ping", "ping"),
    tool("traceroute", "traceroute"),
    tool("fping", "fping"),
    tool("mtr-tiny", "mtr"),
    tool("nftables", "nft"),
    tool("tshark", "tshark"),
    tool("python3-scapy", "/usr/lib/python3/dist-packages/scapy/all.py"),
    tool("ethtool", "ethtool"),
    tool("bpftool", "bpftool"),
    tool("curl", "curl"),
    tool("smcroute", "smcrouted"),
    tool("igmpproxy", "igmpproxy"),
    tool("iperf", "iperf"),
];

/// How many of them the story needs: `ip`, `ping` and `traceroute`.
const STORY_TOOLS: usize = 3;

const LIVE_TOOLS: [Tool; 4] = [
    tool("iproute2", "ip"),
    tool("ethtool", "ethtool"),
    tool("nftables", "nft"),
    tool("xdp-tools", "xdp-filter"),
];

const VM_TOOLS: [Tool; 5] = [
    tool("busybox-static", "busybox"),
    tool("cpio", "cpio"),
    tool("gzip", "gzip"),
    tool("xz-utils", "xz"),
    tool("binutils", "strip"),
];

/// The least compiler that the workspace takes.
const RUST_VERSION: &str = env!("CARGO_PKG_RUST_VERSION");

const BPFFS: &str = "/sys/fs/bpf";
const MOUNT: [&str; 5] = ["mount", "-t", "bpf", "bpf", BPFFS];

/// What a machine still needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lack {
    /// Debian packages.
    packages: BTreeSet<String>,
    /// Why bpf-linker must be built, and for which LLVM.
    linker: Option<(String, u32)>,
    promtool: bool,
    qemu: bool,
    bpffs: bool,
}

impl Lack {
    /// Whether packages are to be fetched, be it to install or to unpack them.
    fn needs_apt(&self) -> bool {
        !self.packages.is_empty() || self.promtool || self.qemu
    }

    fn nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Installs what lacks and says what there is.
pub(crate) fn run(args: Args) -> Result<()> {
    let road = ensure(Want {
        clippy: args.tests,
        story: false,
        tests: args.tests,
        live: false,
        vm: args.tests,
        bpffs: true,
    })?;
    let (release, llvm) = road.version()?;
    let linker = toolchain::linker_state(llvm).unwrap_or_else(|why| why);
    let compiler = match road {
        Road::Nightly => "rustup's nightly",
        Road::Debian => "Debian's rustc-web",
    };
    let tests = if args.tests { ", test tools" } else { "" };
    println!(
        "ready: {compiler} {release} with rust-src (LLVM {llvm}), bpf-linker {linker}, \
         bpffs mounted{tests}"
    );
    Ok(())
}

/// Makes sure that the machine has what is wanted, installing what lacks, and returns the road to
/// the kernel object.
///
/// # Errors
/// What lacks can't be had: without root, where a package would have to go, or where no registry
/// has it. The error is one line and names the command that helps.
pub(crate) fn ensure(want: Want) -> Result<Road> {
    let road = Road::find()?;
    let lack = look(road, want)?;
    if lack.nothing() {
        return Ok(road);
    }
    // All that can fail without a try, before anything is changed.
    if lack.needs_apt() && cmd::which("apt-get").is_none() {
        let mut packages = lack.packages;
        packages.extend(lack.promtool.then(|| "prometheus (promtool)".to_owned()));
        packages.extend(lack.qemu.then(|| qemu::PACKAGE.to_owned()));
        bail!(
            "not Debian, so install by hand what these Debian packages bring: {}",
            words(&packages)
        );
    }
    let root_needed = !lack.packages.is_empty() || lack.bpffs;
    if root_needed && !cmd::is_root() {
        bail!("{}", needs_root(&lack, want));
    }
    announce(&lack);
    if lack.needs_apt() {
        apt_update()?;
    }
    if !lack.packages.is_empty() {
        apt_install(&lack.packages)?;
    }
    if let Some((_, llvm)) = lack.linker {
        install_linker(road, llvm)?;
    }
    if lack.promtool {
        unpack_promtool()?;
    }
    if lack.qemu {
        qemu::unpack()?;
    }
    if lack.bpffs {
        cmd::run(Command::new(MOUNT[0]).args(&MOUNT[1..]))?;
    }
    let left = look(road, want)?;
    if !left.nothing() {
        bail!("still missing after the installation: {}", listed(&left).join("; "));
    }
    Ok(road)
}

/// The road to the kernel object, where the machine has what is wanted, installing nothing.
pub(crate) fn there(want: Want) -> Result<Road> {
    let road = Road::find()?;
    let lack = look(road, want)?;
    if !lack.nothing() {
        bail!("`cargo xtask setup --tests` would {}", listed(&lack).join("; "));
    }
    Ok(road)
}

/// Looks for what lacks, changing nothing.
fn look(road: Road, want: Want) -> Result<Lack> {
    let mut lack = Lack::default();
    let llvm = match road {
        Road::Nightly => road.version()?.1,
        Road::Debian => {
            let mut packages = vec!["rustc-web", "cargo-web", "rust-web-src"];
            if want.clippy {
                packages.push("rust-web-clippy");
            }
            lack.packages.extend(missing_packages(&packages)?);
            let installed = || road.version().ok().filter(|_| lack.packages.is_empty());
            match installed() {
                Some((release, llvm)) if numbers(&release) >= numbers(RUST_VERSION) => llvm,
                // To be upgraded, if there was one: Debian without its security suite has 1.85.
                Some(_) => {
                    lack.packages.extend(packages.iter().map(|p| (*p).to_owned()));
                    debian_llvm()?
                }
                None => debian_llvm()?,
            }
        }
    };
    if let Err(why) = toolchain::linker_state(llvm) {
        if !LINKER_LLVMS.contains(&llvm) {
            bail!(
                "bpf-linker {LINKER_VERSION} ({why}) can be built for LLVM {} to {}, and the \
                 compiler has {llvm}: take a newer compiler, or install a bpf-linker by hand",
                LINKER_LLVMS.start(),
                LINKER_LLVMS.end()
            );
        }
        lack.linker = Some((why, llvm));
        if llvm_prefix(llvm).is_none() {
            lack.packages.insert(format!("llvm-{llvm}-dev"));
        }
    }
    // The story's come first among the tests'.
    let wanted = match want {
        Want { tests: true, .. } => &TEST_TOOLS[..],
        Want { story: true, .. } => &TEST_TOOLS[..STORY_TOOLS],
        _ => &[],
    };
    let tests = wanted.iter();
    let live = LIVE_TOOLS.iter().filter(|_| want.live);
    let vm = VM_TOOLS.iter().filter(|_| want.vm);
    let tools = tests.chain(live).chain(vm).filter(|tool| !present(tool.file));
    lack.packages.extend(tools.map(|tool| tool.package.to_owned()));
    lack.promtool = want.tests && promtool().is_none();
    lack.qemu = want.vm && qemu::command().is_none();
    lack.bpffs = want.bpffs && !bpffs_mounted(&fs::read_to_string("/proc/mounts")?);
    Ok(lack)
}

fn present(file: &str) -> bool {
    if file.starts_with('/') { Path::new(file).exists() } else { cmd::which(file).is_some() }
}

fn bpffs_mounted(mounts: &str) -> bool {
    mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        words.next() == Some(BPFFS) && words.next() == Some("bpf")
    })
}

/// Where that is which is unpacked and not installed. promtool lies in it directly, for the `PATH`
/// of the tests.
pub(crate) fn tools_dir() -> PathBuf {
    cmd::root().join("target/tools")
}

fn promtool() -> Option<PathBuf> {
    let ours = tools_dir().join("promtool");
    if ours.is_file() { Some(ours) } else { cmd::which("promtool") }
}

/// Where the development files of this LLVM are.
fn llvm_prefix(llvm: u32) -> Option<PathBuf> {
    let set = std::env::var_os("LLVM_PREFIX").map(PathBuf::from);
    let prefix = set.unwrap_or_else(|| PathBuf::from(format!("/usr/lib/llvm-{llvm}")));
    // The library alone comes with the compiler; the headers are what the -dev package adds.
    prefix.join("include/llvm-c/Core.h").exists().then_some(prefix)
}

fn announce(lack: &Lack) {
    for line in listed(lack) {
        eprintln!("setup: will {line}");
    }
}

/// What is to be done, one item each, as it is said before it is done.
fn listed(lack: &Lack) -> Vec<String> {
    let mut list = Vec::new();
    if !lack.packages.is_empty() {
        list.push(format!("install Debian packages: {}", words(&lack.packages)));
    }
    if let Some((why, llvm)) = &lack.linker {
        list.push(format!(
            "install bpf-linker {LINKER_VERSION} for LLVM {llvm} from crates.io ({why})"
        ));
    }
    if lack.promtool {
        list.push("unpack promtool of Debian's prometheus to target/tools".into());
    }
    if lack.qemu {
        list.push(format!(
            "unpack Debian's {}, and what it needs and lacks here, to target/tools/qemu",
            qemu::PACKAGE
        ));
    }
    if lack.bpffs {
        list.push(format!("mount bpffs at {BPFFS}"));
    }
    list
}

fn words(set: &BTreeSet<String>) -> String {
    set.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn needs_root(lack: &Lack, want: Want) -> String {
    if lack.packages.is_empty() {
        return format!("bpffs isn't mounted: run `sudo {}`", MOUNT.join(" "));
    }
    let tests = if want.clippy || want.tests || want.vm { " --tests" } else { "" };
    format!(
        "missing, and only root can install: {}; run `sudo -E env PATH=\"$PATH\" cargo xtask \
         setup{tests}`",
        words(&lack.packages)
    )
}

/// The packages among these that aren't installed.
fn missing_packages(packages: &[&str]) -> Result<BTreeSet<String>> {
    // It fails where it doesn't know one of them, and has still answered for the rest.
    let out = Command::new("dpkg-query")
        .args(["-W", "-f=${Package} ${db:Status-Abbrev}\n"])
        .args(packages)
        .output()
        .context("can't start dpkg-query")?;
    Ok(not_installed(packages, &String::from_utf8_lossy(&out.stdout)))
}

fn not_installed(packages: &[&str], dpkg: &str) -> BTreeSet<String> {
    let installed: Vec<&str> = dpkg
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, status)| status.starts_with("ii"))
        .map(|(package, _)| package)
        .collect();
    packages.iter().filter(|p| !installed.contains(p)).map(|p| (*p).to_owned()).collect()
}

/// The LLVM of the rustc-web that apt would install.
fn debian_llvm() -> Result<u32> {
    let known = || {
        // Only real dependencies, and theirs: rustc-web's library is what names LLVM's.
        let mut cmd = Command::new("apt-cache");
        cmd.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-enhances"])
            .args(["--no-conflicts", "--no-breaks", "--no-replaces", "rustc-web"]);
        cmd::output(&mut cmd).ok().and_then(|text| depended_llvm(&text))
    };
    let mut llvm = known();
    if lists_are_old(llvm) {
        // A new machine has no package lists, or those of the day its image was made. Only root can
        // fetch new ones.
        apt_update()?;
        llvm = known();
    }
    llvm.with_context(|| {
        let old = if cmd::is_root() { "" } else { " (or `sudo apt-get update` was never run)" };
        format!(
            "apt has no package rustc-web{old}: Debian's security suite brings it; or take the \
             other road with `{NIGHTLY_COMMAND}`"
        )
    })
}

/// Whether the package lists may only be too old to know the compiler that is needed: they have
/// none, or one whose LLVM no bpf-linker is built for.
fn lists_are_old(llvm: Option<u32>) -> bool {
    llvm.is_none_or(|llvm| !LINKER_LLVMS.contains(&llvm))
}

fn depended_llvm(depends: &str) -> Option<u32> {
    depends.lines().find_map(|line| line.trim().strip_prefix("Depends: libllvm")?.parse().ok())
}

fn apt() -> Command {
    let mut cmd = Command::new("apt-get");
    cmd.args(["-qq", "-o", "DPkg::Lock::Timeout=120", "-o", "Dpkg::Use-Pty=0"])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::null());
    cmd
}

/// Fetches the package lists.
pub(crate) fn apt_update() -> Result<()> {
    if !cmd::is_root() {
        // Whoever isn't root may still download a package by the lists that are there.
        return Ok(());
    }
    cmd::output(apt().arg("update")).map(drop)
}

fn install<'a>(packages: impl IntoIterator<Item = &'a str>, flag: &str) -> Command {
    let mut cmd = apt();
    cmd.args(["install", "--no-install-recommends", flag]).args(packages);
    cmd
}

/// What apt would do to install these packages, in its own words.
pub(crate) fn apt_plan<'a>(packages: impl IntoIterator<Item = &'a str>) -> Result<String> {
    cmd::output(&mut install(packages, "--simulate"))
}

fn apt_install(packages: &BTreeSet<String>) -> Result<()> {
    let names = || packages.iter().map(String::as_str);
    let plan = apt_plan(names())?;
    let removed = removals(&plan);
    if !removed.is_empty() {
        bail!(
            "apt would have to remove {} to install {}: remove them yourself if that is what you \
             want, or take the other road with `{NIGHTLY_COMMAND}`",
            removed.join(" "),
            words(packages)
        );
    }
    // The plan may have changed since; apt is told to stop rather than to remove.
    cmd::run(install(names(), "--yes").arg("--no-remove"))
}

/// The packages that apt's simulation would remove.
fn removals(plan: &str) -> Vec<&str> {
    let purged = |line: &str| line.starts_with("Remv ") || line.starts_with("Purg ");
    plan.lines().filter(|line| purged(line)).filter_map(|l| l.split(' ').nth(1)).collect()
}

fn install_linker(road: Road, llvm: u32) -> Result<()> {
    let prefix = llvm_prefix(llvm).with_context(|| {
        format!("no LLVM {llvm} for bpf-linker: set LLVM_PREFIX to one with its headers")
    })?;
    let mut cmd = cmd::cargo();
    cmd.args(["install", "bpf-linker", "--version", LINKER_VERSION, "--locked", "--force"])
        .args(["--no-default-features", "--features", &format!("llvm-{llvm}")])
        .env("LLVM_PREFIX", prefix)
        // A folder of its own, which cargo removes: the workspace's would be filled with it.
        .env_remove("CARGO_TARGET_DIR");
    if road == Road::Nightly {
        // What cargo says where LLVM isn't found is long and names no way out.
        return cmd::run(&mut cmd)
            .with_context(|| format!("can't build bpf-linker for the nightly's LLVM {llvm}"));
    }
    cmd::run(&mut cmd)
}

/// Downloads packages and unpacks them into one folder, without installing them.
pub(crate) fn apt_download(packages: &[&str], folder: &Path) -> Result<()> {
    // Downloads are made by a user of apt's own, who can't write here.
    let user = ["-o", "APT::Sandbox::User=root"];
    cmd::output(apt().args(user).arg("download").args(packages).current_dir(folder))?;
    let debs: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    if debs.len() != packages.len() {
        bail!("apt-get downloaded {} of the packages {}", debs.len(), packages.join(" "));
    }
    for deb in debs {
        cmd::run(Command::new("dpkg").arg("-x").arg(&deb).arg(folder))?;
        fs::remove_file(deb)?;
    }
    Ok(())
}

/// Takes promtool out of Debian's prometheus without installing that, which would start a server.
fn unpack_promtool() -> Result<()> {
    let folder = tools_dir();
    let work = folder.join("prometheus");
    fs::create_dir_all(&work)?;
    apt_download(&["prometheus"], &work)?;
    fs::rename(work.join("usr/bin/promtool"), folder.join("promtool"))
        .context("Debian's prometheus has no promtool")?;
    fs::remove_dir_all(&work)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = "Reading package lists...\n\
        The following packages will be REMOVED:\n  cargo-web rustc-web\n\
        0 upgraded, 3 newly installed, 2 to remove and 130 not upgraded.\n\
        Remv cargo-web [1.96.0+dfsg1-1~deb12u2]\n\
        Remv rustc-web [1.96.0+dfsg1-1~deb12u2]\n\
        Inst rustc (1.63.0+dfsg1-2 Debian:12.15/oldstable [amd64])\n\
        Conf rustc (1.63.0+dfsg1-2 Debian:12.15/oldstable [amd64])\n";

    #[test]
    fn a_plan_that_removes_is_seen() {
        assert_eq!(removals(PLAN), ["cargo-web", "rustc-web"]);
        assert_eq!(removals("Inst Remv (1)\nConf Remv (1)\n"), Vec::<&str>::new());
        assert_eq!(removals("Purg x [1]\n"), ["x"]);
    }

    #[test]
    fn installed_means_wholly_installed() {
        let dpkg = "rustc-web ii \ncargo-web rc \nrust-web-src un \n";
        let missing = not_installed(&["rustc-web", "cargo-web", "rust-web-src", "x"], dpkg);
        assert_eq!(words(&missing), "cargo-web rust-web-src x");
        assert!(not_installed(&["rustc-web"], dpkg).is_empty());
    }

    #[test]
    fn the_llvm_of_a_package_is_read_from_its_dependencies() {
        let text = "rustc-web\n  Depends: libstd-rust-web-dev\n  Depends: libgcc-s1\n  \
                    Depends: libllvm22\n  Conflicts: <rustc>\n";
        assert_eq!(depended_llvm(text), Some(22));
        assert_eq!(depended_llvm("rustc-web\n  Depends: libc6\n"), None);
    }

    #[test]
    fn lists_without_a_compiler_or_with_an_old_one_are_fetched_again() {
        assert!(lists_are_old(None));
        // What Debian 12's lists of May 2026 have.
        assert!(lists_are_old(Some(19)));
        assert!(!lists_are_old(Some(22)));
    }

    #[test]
    fn bpffs_counts_only_where_it_belongs() {
        assert!(bpffs_mounted("sysfs /sys sysfs rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n"));
        assert!(!bpffs_mounted("bpf /tmp/bpf bpf rw 0 0\ntmpfs /sys/fs/bpf tmpfs rw 0 0\n"));
    }

    #[test]
    fn all_that_will_be_done_is_said() {
        let lack = Lack {
            packages: BTreeSet::from(["rustc-web".into(), "llvm-22-dev".into()]),
            linker: Some(("not installed".into(), 22)),
            promtool: true,
            qemu: true,
            bpffs: true,
        };
        assert_eq!(
            listed(&lack),
            [
                "install Debian packages: llvm-22-dev rustc-web",
                "install bpf-linker 0.13.0 for LLVM 22 from crates.io (not installed)",
                "unpack promtool of Debian's prometheus to target/tools",
                "unpack Debian's qemu-system-x86, and what it needs and lacks here, to \
                 target/tools/qemu",
                "mount bpffs at /sys/fs/bpf",
            ]
        );
        assert!(Lack::default().nothing() && listed(&Lack::default()).is_empty());
    }

    #[test]
    fn without_root_the_command_is_named() {
        let packages = BTreeSet::from(["fping".into()]);
        let lack = Lack { packages, ..Lack::default() };
        let line = needs_root(&lack, Want { tests: true, ..Want::default() });
        assert_eq!(
            line,
            "missing, and only root can install: fping; run `sudo -E env PATH=\"$PATH\" cargo \
             xtask setup --tests`"
        );
        let lack = Lack { bpffs: true, ..Lack::default() };
        let line = needs_root(&lack, Want::default());
        assert_eq!(line, "bpffs isn't mounted: run `sudo mount -t bpf bpf /sys/fs/bpf`");
    }
}
