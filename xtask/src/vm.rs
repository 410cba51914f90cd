//! `cargo xtask vm`: the load and verdict tests inside other kernels, so that nothing is built that
//! only this machine's kernel takes.
//!
//! A machine is Debian's cloud kernel under qemu (software emulation: no /dev/kvm is needed) and an
//! initramfs of busybox, the modules that the tests need, the program and the tests themselves with
//! their shared libraries. It boots, runs `init.sh`, says over the serial line how each test ended,
//! and powers off. Kernels come from Debian's packages and stay in `target/vm/`.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{
    build, cmd, qemu,
    setup::{self, Want},
    tally::Tally,
    test, toolchain,
};

/// Run the load and verdict tests inside Debian's 6.1 and 6.12 kernels, under qemu
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this kernel series
    #[arg(long, value_parser = SERIES)]
    kernel: Option<String>,
    /// Only this variant of each kernel
    #[arg(long)]
    variant: Option<Variant>,
    /// Seconds that one machine may take
    #[arg(long, default_value_t = 2700)]
    timeout: u64,
    /// Run this program in the machines, in place of the tests
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
}

/// The kernels, oldest first.
const SERIES: [&str; 2] = ["6.1", "6.12"];

/// Debian's kernel packages for virtual machines end like this.
const FLAVOUR: &str = "-cloud-amd64";

/// What the tests need of a kernel that Debian builds as modules.
const MODULES: [&str; 4] = ["veth", "tun", "sch_ingress", "cls_bpf"];

/// The tests that are run: those of the package `icmpgate-tests` whose names start so.
const TESTS: [&str; 2] = ["load", "verdict"];

/// What a machine may take that counts instructions; it takes a minute.
const COUNTING: Duration = Duration::from_secs(600);

const INIT: &str = include_str!("init.sh");

/// What is taken away from a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Variant {
    /// The kernel as it is.
    Plain,
    /// Programs are interpreted.
    NoJit,
    /// The kernel's type information is hidden.
    NoBtf,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::NoJit => "no-jit",
            Self::NoBtf => "no-btf",
        }
    }
}

/// One kernel, unpacked and packed again with what it is to run.
struct Kernel {
    series: &'static str,
    image: PathBuf,
    initramfs: PathBuf,
}

/// How one machine ended.
struct Outcome {
    kernel: &'static str,
    variant: Variant,
    release: String,
    tally: Tally,
    took: Duration,
}

/// Boots every machine, prints a table of how they ended, and the closing line.
pub(crate) fn run(args: Args) -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("`cargo xtask vm` boots Debian's amd64 kernels, and this machine isn't one");
    }
    let road = setup::ensure(Want { vm: true, ..Want::default() })?;
    let guests = match args.program {
        Some(program) => vec![guest("tests/program", program)],
        None => {
            build::object(road)?;
            let mut guests = tests()?;
            guests.insert(0, guest("bin/icmpgate", build::program(true)?));
            guests
        }
    };

    let wanted = |series: &&str| args.kernel.as_deref().is_none_or(|only| only == *series);
    let kernels = SERIES
        .into_iter()
        .filter(wanted)
        .map(|series| kernel(series, &guests).with_context(|| format!("kernel {series}")))
        .collect::<Result<Vec<_>>>()?;
    let variants = Variant::value_variants().iter().copied();
    let variants: Vec<_> =
        variants.filter(|variant| args.variant.is_none_or(|only| only == *variant)).collect();
    let machines: Vec<_> = kernels
        .iter()
        .flat_map(|kernel| variants.iter().map(move |variant| (kernel, *variant)))
        .collect();

    let outcomes = boot_all(&machines, Duration::from_secs(args.timeout));
    print!("\n{}", table(&outcomes));
    let mut all = Tally::default();
    for outcome in outcomes {
        all.add(outcome.tally);
    }
    all.close("cargo xtask vm")
}

/// Runs a program in a machine whose clock counts instructions, one a nanosecond, and returns the line of JSON
/// that it says.
pub(crate) fn counted(program: PathBuf, args: &str) -> Result<String> {
    let script = cmd::root().join("target/vm/program");
    fs::create_dir_all(script.parent().context("a folder")?)?;
    fs::write(&script, format!("#!/bin/sh\nexec /bin/program {args}\n"))?;
    cmd::run(Command::new("chmod").arg("755").arg(&script))?;
    let [.., newest] = SERIES;
    let guests = [guest("bin/program", program), guest("tests/program", script)];
    let kernel = kernel(newest, &guests).with_context(|| format!("kernel {newest}"))?;
    // What guards against speculation are instructions as well, and others on each processor. Nothing watches
    // over the clock that is the one to read: to others, which stand still in between, it seems to run wild.
    let mut cmd = machine(&kernel, "mitigations=off clocksource=tsc tsc=reliable")?;
    cmd.args(["-icount", "shift=0"]);
    let (mut log, mut said) = (Log::default(), None);
    watch(cmd, Instant::now() + COUNTING, &mut log, newest, |line| match line.starts_with('{') {
        true => said = Some(line.to_owned()),
        false => eprintln!("[{newest}] {line}"),
    })?;
    if let Some(failure) = log.tally.failures.first() {
        bail!("{failure}");
    }
    said.context("the program said nothing")
}

/// A file of this machine, and the path that it has in the others.
fn guest(path: &str, file: PathBuf) -> (String, PathBuf) {
    (path.to_owned(), file)
}

/// The programs of the load and verdict tests, and where they go.
fn tests() -> Result<Vec<(String, PathBuf)>> {
    let mut cmd = test::tests_command();
    cmd.args(["--no-run", "--message-format=json-render-diagnostics"]);
    let mut found = Vec::new();
    let status = cmd::lines(&mut cmd, |line| found.extend(test_program(line)))?;
    cmd::ended(&cmd, status)?;
    found.retain(|(name, _)| TESTS.iter().any(|start| name.starts_with(start)));
    if found.is_empty() {
        bail!("icmpgate-tests has no test whose name starts with {}", TESTS.join(" or "));
    }
    found.sort();
    Ok(found.into_iter().map(|(name, file)| (format!("tests/{name}"), file)).collect())
}

/// Name and path of a test program in one of cargo's messages.
fn test_program(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let test = message["profile"]["test"].as_bool()?;
    let program = message["executable"].as_str()?;
    test.then(|| Some((message["target"]["name"].as_str()?.to_owned(), program.into())))?
}

/// Fetches and unpacks a kernel where it isn't there yet, and packs an initramfs for it.
fn kernel(series: &'static str, guests: &[(String, PathBuf)]) -> Result<Kernel> {
    let folder = fetch(series)?;
    let image = vmlinuz(&folder).context("the package has no boot/vmlinuz")?;
    let root = cmd::root().join("target/vm").join(format!("root-{series}"));
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    fill(&root, &folder, guests)?;
    let initramfs = cmd::root().join("target/vm").join(format!("initramfs-{series}.gz"));
    let mut pack = Command::new("sh");
    let script = "find . -print0 | cpio --null --create --format=newc --owner=0:0 --quiet | \
                  gzip -1 >\"$0\"";
    cmd::run(pack.args(["-ec", script]).arg(&initramfs).current_dir(&root))?;
    fs::remove_dir_all(&root)?;
    Ok(Kernel { series, image, initramfs })
}

/// The folder with the newest kernel of a series, unpacked.
fn fetch(series: &str) -> Result<PathBuf> {
    let cache = cmd::root().join("target/vm");
    fs::create_dir_all(&cache)?;
    let cached = || {
        let entries = fs::read_dir(&cache).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        newest(names, series).map(|name| cache.join(name))
    };
    let known = || {
        let mut cmd = Command::new("apt-cache");
        let text = cmd::output(cmd.args(["pkgnames", &format!("linux-image-{series}.")]))?;
        anyhow::Ok(newest(text.lines().map(str::to_owned), series))
    };
    let mut package = known()?;
    if package.is_none() {
        // A new machine has no package lists yet.
        setup::apt_update()?;
        package = known()?;
    }
    let Some(package) = package else {
        return cached().with_context(|| {
            format!(
                "apt knows no linux-image-{series}.*{FLAVOUR} (it's Debian 12's, or backported)"
            )
        });
    };
    let folder = cache.join(&package);
    if vmlinuz(&folder).is_some() {
        return Ok(folder);
    }
    // In a folder beside it, so that one that has the name is whole.
    let work = cache.join(format!("part-{series}"));
    if work.exists() {
        fs::remove_dir_all(&work)?;
    }
    fs::create_dir_all(&work)?;
    println!("vm: will download Debian package {package} to target/vm");
    if let Err(error) = setup::apt_download(&[&package], &work) {
        // A list that is days old names a package that has been replaced since.
        if let Some(folder) = cached() {
            eprintln!("vm: {error:#}; taking {}", folder.display());
            return Ok(folder);
        }
        return Err(error);
    }
    fs::rename(&work, &folder)?;
    Ok(folder)
}

/// The newest of Debian's cloud kernels of a series among these names.
fn newest(names: impl Iterator<Item = String>, series: &str) -> Option<String> {
    let start = format!("linux-image-{series}.");
    names
        .filter(|name| name.starts_with(&start) && name.ends_with(FLAVOUR))
        .max_by_key(|name| toolchain::numbers(name))
}

fn vmlinuz(folder: &Path) -> Option<PathBuf> {
    let mut entries = fs::read_dir(folder.join("boot")).ok()?.filter_map(Result::ok);
    let found = entries.find(|entry| entry.file_name().to_string_lossy().starts_with("vmlinuz-"));
    found.map(|entry| entry.path())
}

/// Makes the tree that becomes the initramfs.
fn fill(root: &Path, kernel: &Path, guests: &[(String, PathBuf)]) -> Result<()> {
    for folder in ["bin", "dev", "modules", "proc", "run", "sys", "tests", "tmp"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let init = root.join("init");
    fs::write(&init, INIT)?;
    cmd::run(Command::new("chmod").arg("755").arg(init))?;
    let busybox = cmd::which("busybox").context("no busybox")?;
    with_libraries(root, &busybox, "bin/busybox")?;
    std::os::unix::fs::symlink("busybox", root.join("bin/sh"))?;
    for (to, program) in guests {
        with_libraries(root, program, to)?;
        // Their debug information is ten times the rest, and the machine's memory holds it all.
        if fs::read(program)?.starts_with(b"\x7fELF") {
            cmd::run(Command::new("strip").arg("--strip-debug").arg(root.join(to)))?;
        }
    }

    let mut all = BTreeMap::new();
    for tree in ["lib/modules", "usr/lib/modules"] {
        find_modules(&kernel.join(tree), &mut all);
    }
    let mut order = Vec::new();
    for name in MODULES {
        add_module(name, &all, &root.join("modules"), &mut order)?;
    }
    fs::write(root.join("modules/order"), order.join("\n") + "\n")?;
    Ok(())
}

/// Copies a program, and each library that it is linked to at the path where it will look for it.
fn with_libraries(root: &Path, program: &Path, name: &str) -> Result<()> {
    fs::copy(program, root.join(name)).with_context(|| format!("no {}", program.display()))?;
    let out = Command::new("ldd").arg(program).output().context("can't start ldd")?;
    // It fails for a static program, which has none.
    for library in libraries(&String::from_utf8_lossy(&out.stdout)) {
        let to = root.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(root))?;
        fs::copy(library, to).with_context(|| format!("no {library}"))?;
    }
    Ok(())
}

/// The full paths in what ldd says.
fn libraries(ldd: &str) -> Vec<&str> {
    ldd.lines()
        .filter_map(|line| {
            let line = line.split_once(" => ").map_or(line, |(_, path)| path).trim();
            line.starts_with('/').then(|| line.split(" (").next().unwrap_or(line))
        })
        .collect()
}

/// Every module below a folder, by name.
fn find_modules(folder: &Path, all: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            find_modules(&path, all);
        } else if let Some((name, _)) = entry.file_name().to_string_lossy().split_once(".ko") {
            all.insert(name.replace('-', "_"), path);
        }
    }
}

/// Unpacks a module and, before it, those that it depends on.
fn add_module(
    name: &str,
    all: &BTreeMap<String, PathBuf>,
    folder: &Path,
    order: &mut Vec<String>,
) -> Result<()> {
    let file = format!("{name}.ko");
    if order.contains(&file) {
        return Ok(());
    }
    let path = all.get(name).with_context(|| format!("the kernel has no module {name}"))?;
    let bytes = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => {
            let out = Command::new("xz").arg("-dc").arg(path).output().context("can't start xz")?;
            cmd::ended(Command::new("xz").arg(path), out.status)?;
            out.stdout
        }
        Some("ko") => fs::read(path)?,
        _ => bail!("{}: unknown compression", path.display()),
    };
    for needed in dependencies(&bytes) {
        add_module(&needed, all, folder, order)?;
    }
    fs::write(folder.join(&file), bytes)?;
    order.push(file);
    Ok(())
}

/// The modules that a module says it depends on. (A package has no modules.dep: that is made when
/// it is installed.)
fn dependencies(module: &[u8]) -> Vec<String> {
    let key = b"depends=";
    let field = module.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(key));
    let names = String::from_utf8_lossy(field.unwrap_or_default()).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

/// Boots every machine, as many at a time as there are processors.
fn boot_all(machines: &[(&Kernel, Variant)], timeout: Duration) -> Vec<Outcome> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(machines.len());
    let queue = Mutex::new(machines.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((place, (kernel, variant))) = next else { break };
                    let outcome = boot(kernel, *variant, timeout);
                    if let Ok(mut done) = done.lock() {
                        done.push((place, outcome));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_default();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Boots one machine and counts what its tests say.
fn boot(kernel: &Kernel, variant: Variant, timeout: Duration) -> Outcome {
    let start = Instant::now();
    let name = format!("{} {}", kernel.series, variant.name());
    let mut log = Log::default();
    let heard = |line: &str| println!("[{name}] {line}");
    let watched = machine(kernel, &format!("icmpgate.variant={}", variant.name()))
        .and_then(|cmd| watch(cmd, start + timeout, &mut log, &name, heard));
    if let Err(error) = watched {
        log.tally.fail(format!("[{name}] {error:#}"));
    }
    let Log { tally, release, .. } = log;
    Outcome { kernel: kernel.series, variant, release, tally, took: start.elapsed() }
}

/// The qemu that boots a kernel with these words beside its own.
fn machine(kernel: &Kernel, words: &str) -> Result<Command> {
    let mut cmd = qemu::command().context("no qemu")?;
    // One processor: emulated ones don't survive that the kernel changes code under them, which it does
    // for each XDP program (`bpf_dispatcher_xdp_func`).
    cmd.args(["-M", "q35", "-cpu", "max", "-accel", "tcg", "-smp", "1", "-m", "1024"])
        .args(["-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot"])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(&kernel.initramfs)
        .arg("-append")
        .arg(format!("console=ttyS0 panic=-1 quiet {words}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    Ok(cmd)
}

/// Runs qemu until it ends by itself or its time is over.
fn watch(
    mut cmd: Command,
    deadline: Instant,
    log: &mut Log,
    name: &str,
    mut heard: impl FnMut(&str),
) -> Result<()> {
    let mut qemu = cmd.spawn().with_context(|| format!("can't start `{}`", cmd::shown(&cmd)))?;
    let serial = qemu.stdout.take().context("no serial line")?;
    let (sender, lines) = mpsc::channel();
    // It ends with the serial line, at the latest when qemu is killed below.
    thread::spawn(move || {
        for line in BufReader::new(serial).split(b'\n').map_while(Result::ok) {
            if sender.send(clean(&line)).is_err() {
                break;
            }
        }
    });
    let ended = loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    heard(&line);
                }
                log.line(name, &line);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
            Err(mpsc::RecvTimeoutError::Timeout) => break false,
        }
    };
    if !ended {
        // Only ours, by its id.
        qemu.kill()?;
    }
    let status = qemu.wait()?;
    let during = log.running.as_ref().map(|test| format!(" in {test}")).unwrap_or_default();
    match (ended, log.done) {
        (false, _) => bail!("timed out{during}"),
        (true, false) => bail!("went down{during} ({status})"),
        (true, true) => Ok(()),
    }
}

/// What a machine has said so far, in the words of `init.sh`.
#[derive(Default)]
struct Log {
    tally: Tally,
    /// The test that runs now, and its counts.
    running: Option<String>,
    own: Tally,
    release: String,
    done: bool,
}

impl Log {
    fn line(&mut self, name: &str, line: &str) {
        self.own.line(line);
        let Some(word) = line.strip_prefix("@@ ") else { return };
        match word.split(' ').collect::<Vec<_>>()[..] {
            ["booted", release, ..] => self.release = release.into(),
            ["begin", test] => {
                self.running = Some(test.into());
                self.own = Tally::default();
            }
            ["end", test, status] => {
                let mut own = std::mem::take(&mut self.own);
                // A program given by hand may not count tests.
                if test == "program" && status == "0" && own.passed == 0 {
                    own.passed = 1;
                }
                own.ended(&format!("[{name}] {test}"), status == "0", &format!("status {status}"));
                self.tally.add(own);
                self.running = None;
            }
            ["broken", ..] => self.tally.fail(format!("[{name}] {word}")),
            ["done"] => self.done = true,
            _ => {}
        }
    }
}

/// A line of a terminal as text: without carriage returns, colours and cursor movements.
fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut parts = text.split('\x1b');
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // CSI, parameters, a final letter; or two characters.
        let end = match part.strip_prefix('[') {
            Some(rest) => rest.find(|c: char| c.is_ascii_alphabetic()).map(|end| end + 2),
            None => part.chars().next().map(char::len_utf8),
        };
        clean.push_str(&part[end.unwrap_or(part.len())..]);
    }
    clean.retain(|c| c != '\r');
    clean
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<7} {:<8} {:<7} {:>7} {:>7} {:>8}  {}\n",
        "kernel", "variant", "result", "passed", "failed", "seconds", "release"
    );
    for Outcome { kernel, variant, release, tally, took } in outcomes {
        let result = if tally.failed == 0 { "passed" } else { "FAILED" };
        text += &format!(
            "{kernel:<7} {:<8} {result:<7} {:>7} {:>7} {:>8.1}  {release}\n",
            variant.name(),
            tally.passed,
            tally.failed,
            took.as_secs_f64(),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_is_chosen_by_number() {
        let names = [
            "linux-image-6.12.99+deb12-cloud-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            "linux-image-6.12.120+deb12-cloud-amd64-unsigned",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12-cloud-amd64",
            "linux-image-6.1.0-9-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64",
            "linux-image-6.1.0-56-cloud-amd64-dbg",
        ];
        let of = |series| newest(names.iter().map(|name| (*name).to_owned()), series);
        assert_eq!(of("6.12").as_deref(), Some(names[1]));
        assert_eq!(of("6.1").as_deref(), Some(names[6]));
        assert_eq!(of("5.10"), None);
    }

    #[test]
    fn libraries_are_read_from_ldd() {
        let ldd = "\tlinux-vdso.so.1 (0x00007f94b99d9000)\n\
                   \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f94b041e000)\n\
                   \tlibx.so => not found\n\
                   \t/lib64/ld-linux-x86-64.so.2 (0x00007f94b99db000)\n";
        let found = libraries(ldd);
        assert_eq!(found, ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }

    #[test]
    fn a_module_names_what_it_needs() {
        assert_eq!(
            dependencies(b"\x7fELF\0x=1\0depends=llc,br-netfilter\0y"),
            ["llc", "br_netfilter"]
        );
        assert!(dependencies(b"a\0depends=\0b").is_empty());
        assert!(dependencies(b"").is_empty());
    }

    #[test]
    fn a_serial_line_is_cleaned() {
        assert_eq!(clean(b"result: \x1b[32mok\x1b[0m. 2 passed\r"), "result: ok. 2 passed");
        assert_eq!(clean(b"\x1bc\x1b[?7l\x1b[2Jplain"), "plain");
        assert_eq!(clean(b"\x1b["), "");
    }

    #[test]
    fn cargo_names_the_tests() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"verdict_echo"},
            "profile":{"test":true},"executable":"/x/verdict_echo-1"}"#;
        let found = test_program(message);
        assert_eq!(found, Some(("verdict_echo".into(), "/x/verdict_echo-1".into())));
        assert_eq!(test_program(&message.replace("true", "false")), None);
        assert_eq!(test_program("{}"), None);
        assert_eq!(test_program("not json"), None);
    }

    fn said(lines: &[&str]) -> Log {
        let mut log = Log::default();
        for line in lines {
            log.line("6.1 plain", line);
        }
        log
    }

    #[test]
    fn a_machine_is_judged_by_what_it_says() {
        let log = said(&[
            "@@ booted 6.1.0-56-cloud-amd64 plain",
            "@@ begin load",
            "test result: ok. 4 passed; 0 failed; 0 ignored",
            "@@ end load 0",
            "@@ begin verdict",
            "test result: FAILED. 7 passed; 2 failed; 0 ignored",
            "@@ end verdict 101",
            "@@ done",
        ]);
        assert_eq!((log.tally.passed, log.tally.failed), (11, 2));
        assert_eq!(log.tally.failures, ["[6.1 plain] verdict: 2 failed"]);
        assert_eq!(log.release, "6.1.0-56-cloud-amd64");
        assert!(log.done && log.running.is_none());
    }

    #[test]
    fn a_machine_that_breaks_does_not_pass() {
        let crashed = said(&["@@ begin load", "@@ end load 139"]);
        assert_eq!(crashed.tally.failures, ["[6.1 plain] load: status 139"]);
        let empty = said(&["@@ begin load", "@@ end load 0", "@@ done"]);
        assert_eq!(empty.tally.failures, ["[6.1 plain] load: ran no test"]);
        let hung = said(&["@@ begin load", "test a ... ok"]);
        assert_eq!((hung.running.as_deref(), hung.done), (Some("load"), false));
        let broken = said(&["@@ broken the JIT stays on", "@@ done"]);
        assert_eq!(broken.tally.failed, 1);
    }
}
