//! What README says is true: its policy holds, and each command in it runs, in the order in which
//! it is written, on an interface that is called as there.

use icmpgate::policy::{self, Gate, Groups};
use icmpgate_tests::{
    Ipv4, Site,
    attack::{HEAD, TABLE},
    daemon::program,
    message::{echo, igmp},
    netns::{HOST_IF, HOST4, PATIENCE, eventually, finish},
};
use std::{
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const README: &str = include_str!("../../README.md");

/// The contents of the fenced blocks of this language.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = README.split(&fence).skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

/// The commands, without their comments.
fn commands() -> Vec<String> {
    let blocks = blocks("sh");
    let lines = blocks.iter().flat_map(|block| block.lines());
    lines
        .map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

/// A capture with one good echo request.
fn capture() -> Vec<u8> {
    let frame = Ipv4::between("192.0.2.2", "192.0.2.1").icmp(echo(8)).frame().build();
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, 1, 0, 0] {
        file.extend(u32::to_le_bytes(word));
    }
    for _ in 0..2 {
        file.extend((frame.len() as u32).to_le_bytes());
    }
    file.extend(frame);
    file
}

/// A command that goes on until it is told to end.
struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        // A group of its own, so that what cargo starts is told, too.
        let mut child = command
            .process_group(0)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        let (mut from, into) = (child.stderr.take().expect("piped"), said.clone());
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                into.lock().expect("no panic").push_str(&String::from_utf8_lossy(&buffer[..n]));
            }
        });
        let running = Self { child, said, reader: Some(reader) };
        let ready = || running.said.lock().expect("no panic").contains("icmpgate: ready");
        assert!(eventually(Duration::from_secs(300), ready), "{}", running.text());
        running
    }

    fn text(&self) -> String {
        self.said.lock().expect("no panic").clone()
    }

    fn stop(mut self) {
        // SAFETY: a system call without pointers, to the group that this test started.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGINT) };
        let status = icmpgate_tests::netns::wait(&mut self.child, PATIENCE);
        let status = status.unwrap_or_else(|| panic!("it goes on: {}", self.text()));
        // What it said last may still be in the pipe.
        let reader = self.reader.take().expect("it is stopped once");
        reader.join().expect("a reader doesn't panic");
        let text = self.text();
        assert!(status.success(), "{status}: {text}");
        assert!(text.contains("detached"), "{text}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
    }
}

#[test]
fn every_command_of_readme_runs_in_the_order_it_is_written() {
    let site = Site::new();
    let host = &site.pair.host;
    host.ip(&format!("link set {HOST_IF} down"));
    host.ip(&format!("link set {HOST_IF} name eth0"));
    host.ip("link set eth0 up");
    let policies = blocks("toml");
    assert_eq!(policies.len(), 1, "README shows one policy");
    let policy = site.file("policy.toml", &policies[0]);
    site.file("capture.pcap", capture());
    let folder = Path::new(&policy).parent().expect("a folder");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let pins = site.pins().to_str().expect("a path in UTF-8").to_owned();

    let mut running: Option<Running> = None;
    let mut ran = 0;
    for line in commands() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = match words[..] {
            // This is what runs this test.
            ["cargo", "xtask", "test"] => continue,
            ["cargo", ..] => {
                let mut command = host.command("cargo");
                command.current_dir(root).args(&words[1..]);
                command
            }
            ["icmpgate" | "target/release/icmpgate", ..] => {
                let mut command = host.command(program());
                command.current_dir(folder).args(&words[1..]);
                command
            }
            _ => {
                let mut command = host.command(words[0]);
                command.current_dir(folder).args(&words[1..]);
                command
            }
        };
        if words.contains(&"--iface") {
            if let Some(before) = running.take() {
                before.stop();
            }
            running = Some(Running::start({
                command.args(["--pin-dir", &pins]);
                command
            }));
        } else {
            if words[0] == "icmpgate" {
                command.args(["--pin-dir", &pins]);
            }
            let output = finish(&mut command, Duration::from_secs(300));
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "`{line}`: {}: {text}", output.status);
            assert!(!output.stdout.is_empty(), "`{line}` prints something");
        }
        ran += 1;
    }
    running.expect("README runs it").stop();
    site.assert_nothing_left();
    assert!(ran >= 10, "README has commands");
}

/// What it says of `[groups]` is a part of a policy, with the values that hold unless another is said.
#[test]
fn the_groups_of_readme_hold() {
    let block = blocks("text").into_iter().find(|block| block.starts_with("[groups]\n"));
    let block = block.expect("README shows them");
    let read = |text: &str| {
        let policy = policy::from_str("README.md", &format!("profile = \"router\"\n{text}"));
        policy.unwrap_or_else(|errors| panic!("{errors}")).groups
    };
    let shown = read(&block);
    assert_eq!((&shown.gate, shown.fixed.len()), (&Gate::All, 1));
    assert_eq!(Groups { gate: Gate::Off, fixed: Vec::new(), ..shown }, read(""));
}

#[test]
fn the_figures_of_readme_are_of_the_form_that_the_commands_print() {
    for (what, sign) in [
        ("story", "packets, each with one verdict and one reason"),
        ("bench", "met:"),
        ("live", "of XDP_DROP"),
        ("user-space", "from start to attached"),
    ] {
        let mark = format!("<!-- {what}: printed by");
        let block = README.split(&mark).nth(1).expect("a marked block");
        let block = block.split("```").nth(1).expect("a fenced block");
        assert!(block.contains(sign), "the block of `{what}` is what its command printed");
    }
}

/// What is measured differs from machine to machine; what has to come of it doesn't.
#[test]
fn the_attacks_of_readme_are_those_that_are_played() {
    let block = README.split("<!-- attacks: printed by").nth(1).expect("a marked block");
    let rows: Vec<Vec<&str>> = block
        .lines()
        .skip_while(|line| !line.starts_with("|---"))
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), TABLE.len());
    assert!(block.contains(&format!("{HEAD}\n")), "the head of the table");
    for (row, attack) in rows.iter().zip(TABLE) {
        let [name, source, policy, bare, guarded, counted, remark] = row[..] else {
            panic!("{row:?} has other columns")
        };
        assert_eq!([name, source, remark], [attack.name, attack.source, attack.remark]);
        assert_eq!(policy, attack.policy(), "{name}");
        for (state, expected) in [(bare, attack.bare), (guarded, attack.guarded)] {
            assert!(state.starts_with(&format!("{expected}: ")), "{name}: {state}");
        }
        let of: Vec<&str> = counted.split('`').skip(1).step_by(2).collect();
        assert_eq!(of, attack.labels().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn every_metric_of_readme_is_served_and_every_served_one_is_in_readme() {
    let site = Site::new();
    // What a share is, is served where a rule has one.
    let daemon = site.start_with(
        "profile = \"host\"\n[[rule]]\nname = \"a\"\naction = \"limit\"\n\
         limit = { share = \"100%\" }\n[groups]\ngate = true\n",
    );
    // Who asks is served once somebody has, and what is kept back once something is, when all have had the time to answer.
    let wire = site.pair.host.wire(HOST_IF);
    let asks = igmp(0x11, 1, "0.0.0.0").octets([2, 125, 0, 0]);
    let asks = Ipv4::between(HOST4, "224.0.0.1").ttl(1).igmp(asks);
    wire.try_send(&asks.frame().to_many().build()).expect("it is sent");
    thread::sleep(Duration::from_millis(1_200));
    let stream = Ipv4::between(HOST4, "239.1.1.1").payload(17, [0; 8]);
    wire.try_send(&stream.frame().to_many().build()).expect_err("nobody listens");
    // A counter is served when it has counted.
    site.pair.peer.tool(&format!("ping -c 1 -W 5 {HOST4}"));
    let text = site.done("stats --prometheus");
    let served: Vec<&str> =
        text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for name in &served {
        assert!(README.contains(&format!("`{name}`")), "{name} is not in README");
    }
    let told = README.split('`').filter(|w| w.starts_with("icmpgate_"));
    for name in told {
        assert!(served.contains(&name), "{name} is in README and not served");
    }
    daemon.stop();
}
