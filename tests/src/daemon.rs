//! The program as it is shipped, run on a [`Pair`] with a pin directory of its own, and what it
//! says of itself.

use crate::{
    netns::{HOST_IF, Namespace, PATIENCE, Pair, eventually, finish, wait},
    require_root,
};
use aya::programs::{SchedClassifier, TcAttachType};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

/// The port that a daemon serves its metrics on. Every pair is a network of its own.
pub const METRICS: u16 = 19917;

/// The program under test: `ICMPGATE_BIN`.
///
/// # Panics
/// Where it isn't said, with the command that helps.
#[must_use]
pub fn program() -> PathBuf {
    let said = std::env::var_os("ICMPGATE_BIN").map(PathBuf::from);
    let path = said.unwrap_or_else(|| {
        panic!("ICMPGATE_BIN does not name the program to test; run `cargo xtask test`")
    });
    assert!(path.is_file(), "ICMPGATE_BIN is {}, and there is none", path.display());
    path
}

/// A pair of namespaces, a pin directory for the instance that protects one of them, and a folder
/// for its files. When it is dropped, nothing is left of either.
#[derive(Debug)]
pub struct Site {
    /// The namespaces.
    pub pair: Pair,
    pins: PathBuf,
    files: tempfile::TempDir,
}

impl Site {
    /// A new one. Nothing runs on it yet.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        require_root();
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let pins = format!("/sys/fs/bpf/icmpgate-test-{}-{n}", std::process::id()).into();
        let files = tempfile::tempdir().expect("a folder for files");
        Self { pair: Pair::new(), pins, files }
    }

    /// The pin directory.
    #[must_use]
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Writes a file, and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.files.path().join(name);
        fs::write(&path, content).expect("a file can be written");
        path.into_os_string().into_string().expect("a path in UTF-8")
    }

    /// The program with these words, in the protected namespace, for this pin directory.
    #[must_use]
    pub fn command(&self, words: &str) -> Command {
        self.command_in(&self.pair.host, words)
    }

    /// As [`Site::command`], in any namespace.
    #[must_use]
    pub fn command_in(&self, namespace: &Namespace, words: &str) -> Command {
        let mut command = namespace.command(program());
        command.args(words.split(' ').filter(|word| !word.is_empty()));
        command.arg("--pin-dir").arg(&self.pins);
        command
    }

    /// Runs the program with these words to its end.
    pub fn icmpgate(&self, words: &str) -> Output {
        finish(&mut self.command(words), PATIENCE)
    }

    /// As [`Site::icmpgate`], which must end well; what it wrote to standard output.
    pub fn done(&self, words: &str) -> String {
        let output = self.icmpgate(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`icmpgate {words}`: {}: {said}", output.status);
        String::from_utf8(output.stdout).expect("text")
    }

    /// What a command says in JSON.
    pub fn json(&self, words: &str) -> Value {
        let text = self.done(&format!("{words} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The counters.
    pub fn stats(&self) -> Stats {
        Stats::of(&self.json("stats"))
    }

    /// How many policies have been put in force.
    pub fn generation(&self) -> u64 {
        self.json("status")["policy"]["generation"].as_u64().expect("a generation")
    }

    /// Starts the daemon on the protected interface, and waits until it is ready.
    pub fn start(&self, words: &str) -> Daemon<'_> {
        self.start_on(&format!("--iface {HOST_IF} {words}"))
    }

    /// Starts the daemon with a policy on the protected interface.
    pub fn start_with(&self, policy: &str) -> Daemon<'_> {
        let file = self.file("policy.toml", policy);
        self.start(&format!("--policy {file}"))
    }

    /// Starts the daemon with these words, and waits until it is ready.
    pub fn start_on(&self, words: &str) -> Daemon<'_> {
        let command = self.command(&format!("run --metrics 127.0.0.1:{METRICS} {words}"));
        Daemon::start(self, command)
    }

    /// Panics where a pin or a program is left. The kernel frees a link that has lost its pin a
    /// moment later, so that a program may take a second to go.
    pub fn assert_nothing_left(&self) {
        assert!(!self.pins.exists(), "{} is left", self.pins.display());
        let left = || [self.attached(), self.attached_to_sent()].concat();
        let free = eventually(Duration::from_secs(1), || left().is_empty());
        assert!(free, "programs are left on {:?}", left());
    }

    /// The interfaces of the protected namespace where a program is attached to what is sent (TCX), anybody's. None
    /// before Linux 6.6, which has no such thing.
    #[must_use]
    pub fn attached_to_sent(&self) -> Vec<String> {
        let names = self.interfaces().into_iter().map(|(name, _)| name);
        let has = |name: &String| {
            let programs = self.pair.host.run(|| {
                SchedClassifier::query_tcx(name, TcAttachType::Egress).unwrap_or_default().1
            });
            !programs.is_empty()
        };
        names.filter(has).collect()
    }

    /// The interfaces of the protected namespace that have an XDP program, anybody's.
    #[must_use]
    pub fn attached(&self) -> Vec<String> {
        self.interfaces().into_iter().filter_map(|(name, has)| has.then_some(name)).collect()
    }

    /// The interfaces of the protected namespace, and whether each has an XDP program.
    fn interfaces(&self) -> Vec<(String, bool)> {
        let text = self.pair.host.ip("-json -details link show");
        let links: Value = serde_json::from_str(&text).expect("JSON of ip");
        let of = |link: &Value| {
            (link["ifname"].as_str().expect("a name").to_owned(), link.get("xdp").is_some())
        };
        links.as_array().expect("a list of links").iter().map(of).collect()
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // bpffs holds directories two deep, and removing a link's pin detaches it.
        for folder in fs::read_dir(&self.pins).into_iter().flatten().flatten() {
            let _ = fs::remove_dir_all(folder.path()).or_else(|_| fs::remove_file(folder.path()));
        }
        let _ = fs::remove_dir(&self.pins);
    }
}

/// A daemon that is ready. Where it is dropped without an end, it is killed.
#[derive(Debug)]
pub struct Daemon<'a> {
    site: &'a Site,
    child: Child,
    said: Arc<Mutex<Vec<String>>>,
    reader: RefCell<Option<thread::JoinHandle<()>>>,
}

impl<'a> Daemon<'a> {
    fn start(site: &'a Site, mut command: Command) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let reader = thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                heard.lock().expect("no reader panics").push(line);
            }
        });
        let mut daemon = Self { site, child, said, reader: RefCell::new(Some(reader)) };
        let mut ended = None;
        let ready = eventually(PATIENCE, || {
            ended = daemon.child.try_wait().expect("a child can be waited for");
            ended.is_some() || daemon.has_said("ready: ")
        });
        assert!(ready && ended.is_none(), "no daemon ({ended:?}): {}", daemon.said());
        daemon
    }

    /// Everything that it has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.lock().expect("no reader panics").join("\n")
    }

    /// Whether it has said this.
    #[must_use]
    pub fn has_said(&self, text: &str) -> bool {
        self.said().contains(text)
    }

    /// Waits until it has said this.
    ///
    /// # Panics
    /// Where it doesn't.
    pub fn hear(&self, text: &str) {
        let heard = eventually(PATIENCE, || self.has_said(text));
        assert!(heard, "never said {text:?}, but:\n{}", self.said());
    }

    /// Sends it a signal and waits for its end.
    pub fn signal(&mut self, signal: i32) -> ExitStatus {
        let pid = self.child.id() as libc::pid_t;
        // SAFETY: a system call without pointers, to a child that hasn't been waited for.
        let result = unsafe { libc::kill(pid, signal) };
        assert_eq!(result, 0, "the daemon is alive: {}", self.said());
        self.wait()
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait(&mut self.child, PATIENCE);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        status.unwrap_or_else(|| panic!("the daemon does not end: {}", self.said()))
    }

    /// Ends it as ctrl-C does: nothing may be left.
    pub fn stop(mut self) {
        let status = self.signal(libc::SIGINT);
        assert_eq!(status.code(), Some(0), "{}", self.said());
        self.site.assert_nothing_left();
    }

    /// Kills it, so that it can't clear away.
    pub fn kill(mut self) {
        self.signal(libc::SIGKILL);
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a counter counts, as `stats --json` has it: interface, family, type, code, verdict, reason,
/// mode. Of what is sent, the interface has `:egress` behind it.
pub type Labels = [String; 7];

/// The counters as `stats --json` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(pub BTreeMap<Labels, u64>);

impl Stats {
    fn of(json: &Value) -> Self {
        const NAMES: [&str; 7] = ["iface", "family", "type", "code", "verdict", "reason", "mode"];
        let lines = json["counters"].as_array().expect("a list of counters");
        let count = lines.len();
        let lines = lines.iter().map(|line| {
            let text = |name| line[name].as_str().expect("a label").to_owned();
            let mut labels = NAMES.map(text);
            if line["hook"] == "egress" {
                labels[0].push_str(":egress");
            }
            (labels, line["packets"].as_u64().expect("a number of packets"))
        });
        let stats = Self(lines.collect());
        assert_eq!(stats.0.len(), count, "each counter stands once: {json}");
        stats
    }

    /// The packets of all counters whose labels have all of these words, in their order and from
    /// the first: `"gate0 icmpv4 8/0 pass"`; a star stands for anything.
    #[must_use]
    pub fn packets(&self, words: &str) -> u64 {
        let words: Vec<&str> = words.split([' ', '/']).collect();
        let is = |labels: &Labels| labels.iter().zip(&words).all(|(l, w)| *w == "*" || l == w);
        self.0.iter().filter(|(labels, _)| is(labels)).map(|(_, packets)| packets).sum()
    }

    /// What has been added since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let added = self.0.iter().map(|(labels, packets)| {
            let was = before.0.get(labels).copied().unwrap_or(0);
            let more = packets.checked_sub(was);
            (labels.clone(), more.unwrap_or_else(|| panic!("{labels:?} went from {was} back")))
        });
        Self(added.filter(|(_, packets)| *packets > 0).collect())
    }
}

/// A command line around another command: `outer` with its words, then the program of `inner` with
/// its own. Only the namespace is taken from it.
#[must_use]
pub fn around(namespace: &Namespace, outer: &[&str], inner: &Command) -> Command {
    let (first, rest) = outer.split_first().expect("a program");
    let mut command = namespace.command(first);
    let inner: Vec<OsString> =
        std::iter::once(inner.get_program()).chain(inner.get_args()).map(OsStr::to_owned).collect();
    command.args(rest).args(inner);
    command
}
