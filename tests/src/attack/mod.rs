//! Attacks that are played live, as frames that scapy makes in the neighbour's namespace: against a bare Linux, and
//! against one behind the program as it is shipped. [`TABLE`] says of each what must come of it, `cargo xtask attacks`
//! prints what did.

mod scene;
mod table;

use crate::{
    daemon::{Site, Stats},
    netns::{HOST_IF, HOST4, Namespace, PATIENCE, PEER_IF, PEER4, eventually, finish},
};
use scene::{State, Victim};
use std::{fmt, net::UdpSocket, ops::RangeInclusive, time::Duration};

pub use table::TABLE;

const FRAMES: &str = include_str!("frames.py");

/// How long the frames of an attack may take to be made and sent.
const SENDING: Duration = Duration::from_secs(300);

/// What an attack did to a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing.
    None,
    /// Less than it could have.
    Limited,
    /// What it is for.
    Full,
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "unharmed",
            Self::Limited => "limited",
            Self::Full => "**harmed**",
        })
    }
}

/// Labels as [`Stats::packets`] takes them, without the interface, and how many packets they must have counted.
type Count = (&'static str, RangeInclusive<u64>);

/// An attack, and what comes of it.
#[derive(Debug)]
pub struct Attack {
    /// What it is called.
    pub name: &'static str,
    /// Where it, or what stands against it, is written down.
    pub source: &'static str,
    /// The profile that the machine is behind.
    profile: &'static str,
    /// What its policy says besides, in TOML.
    policy: &'static str,
    /// Makes a site one that can be attacked.
    victim: for<'a> fn(&'a Site) -> Victim<'a>,
    /// What it does to a bare Linux.
    pub bare: Harm,
    /// What it does behind the program.
    pub guarded: Harm,
    /// What must have been counted. No drop but these may be.
    counted: &'static [Count],
    /// What `explain` makes of the frames, where it isn't the same: it knows neither routes nor what was sent.
    explained: Option<&'static [Count]>,
    /// What else there is to say.
    pub remark: &'static str,
}

/// What came of an attack.
#[derive(Debug)]
pub struct Played {
    bare: State,
    guarded: State,
    counted: Stats,
    explained: Stats,
}

impl Attack {
    /// The name of its test.
    #[must_use]
    pub fn test(&self) -> String {
        let words = self.name.to_lowercase();
        let words =
            words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join("_")
    }

    /// The policy that the machine is behind, on one line.
    #[must_use]
    pub fn policy(&self) -> String {
        match self.policy {
            "" => format!("`{}`", self.profile),
            policy => format!("`{}`, `{policy}`", self.profile),
        }
    }

    /// The labels of what must be counted, as they are printed.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        self.counted.iter().map(|(labels, _)| labels.trim_end_matches(" enforce"))
    }

    /// Plays it against both machines.
    #[must_use]
    pub fn play(&self) -> Played {
        let bare = {
            let site = Site::new();
            let mut victim = (self.victim)(&site);
            send(&site, &victim);
            victim.look(self.bare)
        };
        let site = Site::new();
        let mut victim = (self.victim)(&site);
        let (profile, policy) = (self.profile, self.policy);
        let file = site.file("policy.toml", format!("profile = \"{profile}\"\n{policy}\n"));
        let daemon = site.start(&format!("--policy {file}"));
        let before = site.stats();
        let capture = send(&site, &victim);
        let guarded = victim.look(self.guarded);
        let counted = site.stats().since(&before);
        let explained = explain(&site, &file, &capture);
        drop(victim);
        daemon.stop();
        Played { bare, guarded, counted, explained }
    }

    /// Where what came of it isn't what has to, a line each.
    #[must_use]
    pub fn wrong(&self, played: &Played) -> Vec<String> {
        let mut wrong = Vec::new();
        let sides = [("bare", self.bare, &played.bare), ("guarded", self.guarded, &played.guarded)];
        for (side, expected, state) in sides {
            if state.harm != expected {
                wrong.push(format!("{side}: {expected} was expected, and it is {state}"));
            }
        }
        let explained = self.explained.unwrap_or(self.counted);
        let all =
            [(HOST_IF, self.counted, &played.counted), ("explain", explained, &played.explained)];
        for (from, expected, stats) in all {
            for (labels, range) in expected {
                let packets = stats.packets(&format!("{from} {labels}"));
                if !range.contains(&packets) {
                    wrong.push(format!("{from} {labels}: {packets} of {range:?} in {stats:#?}"));
                }
            }
            let is = |labels: &&str| labels.split(' ').nth(2) == Some("drop");
            let drops = expected.iter().map(|(labels, _)| *labels).filter(is);
            let known: u64 = drops.map(|labels| stats.packets(&format!("{from} {labels}"))).sum();
            if stats.packets("* * * * drop") != known {
                wrong.push(format!("{from}: others were dropped: {stats:#?}"));
            }
        }
        wrong
    }

    /// Its row of the table, with what was measured.
    #[must_use]
    pub fn row(&self, played: &Played) -> String {
        let counts: Vec<String> = self
            .labels()
            .map(|labels| {
                let packets = played.counted.packets(&format!("{HOST_IF} {labels}"));
                format!("`{labels}` {packets}")
            })
            .collect();
        let Self { name, source, remark, .. } = self;
        let Played { bare, guarded, .. } = played;
        let (policy, counts) = (self.policy(), counts.join(", "));
        format!("| {name} | {source} | {policy} | {bare} | {guarded} | {counts} | {remark} |")
    }
}

/// The head of the table.
pub const HEAD: &str = "\
| attack | written down in | policy | a bare Linux | behind icmpgate | what was counted there | |
|---|---|---|---|---|---|---|";

/// Sends the frames of an attack, waits until the machine has had them, and returns the path of a capture of them.
fn send(site: &Site, victim: &Victim<'_>) -> String {
    let [script, capture] =
        [("frames.py", FRAMES), ("attack.pcap", "")].map(|(n, c)| site.file(n, c));
    let mac = site.pair.host.hardware(HOST_IF);
    let pace = victim.pace.as_secs_f64().to_string();
    let mut command = site.pair.peer.command("/usr/bin/python3");
    command.args([&script, PEER_IF, &mac, &capture, &pace]).args(victim.frames.split(' '));
    let output = finish(&mut command, SENDING);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    arrived(&site.pair.host, &site.pair.peer);
    capture
}

/// Waits until a datagram has come through behind all that was sent before: no filter of ICMP has to do with it.
fn arrived(host: &Namespace, peer: &Namespace) {
    let here = host.run(|| UdpSocket::bind((HOST4, 0)).expect("a port"));
    let there = peer.run(|| UdpSocket::bind((PEER4, 0)).expect("a port"));
    let to = here.local_addr().expect("bound");
    here.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
    let has_come = eventually(PATIENCE, || {
        there.send_to(b"x", to).expect("it is sent");
        here.recv(&mut [0; 1]).is_ok()
    });
    assert!(has_come, "nothing comes through any more");
}

/// What `explain` makes of a capture, as counters.
fn explain(site: &Site, policy: &str, capture: &str) -> Stats {
    let words = format!("explain --policy {policy} --iface {HOST_IF} --pcap {capture} --json");
    let mut stats = Stats::default();
    for line in site.done(&words).lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let text = |name: &str| match &line[name] {
            serde_json::Value::Null => "none".to_owned(),
            value => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        let mode = if line.get("would").is_some() { "observe" } else { "enforce" };
        let [family, ty, code, verdict, reason] =
            ["family", "type", "code", "verdict", "reason"].map(text);
        let labels = ["explain".to_owned(), family, ty, code, verdict, reason, mode.to_owned()];
        *stats.0.entry(labels).or_default() += 1;
    }
    stats
}
