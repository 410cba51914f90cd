//! The filters: how each is loaded on a stage, as its user would, and what it has counted.

use super::lane;
use anyhow::{Context as _, Result, bail, ensure};
use icmpgate::{
    datapath::{Instance, Program},
    policy::{self, Profile},
};
use icmpgate_rig::{
    metrics::Counts,
    mounts::Mounts,
    netns, signal,
    stage::{GATE, Stage},
};
use nix::{
    net::if_::if_nametoindex,
    sys::{
        signal::{Signal, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};
use serde_json::Value;
use std::{
    fs,
    ops::RangeInclusive,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    /// Counts and drops, and looks at nothing: what the rig itself bears.
    Floor,
    /// Waits for the frame before, as any filter has to that looks at it.
    Read,
    /// Looks the source up under a limit, and counts and drops: the least that any limit by source does.
    SourceFloor,
    /// icmpgate with a limit by source.
    BySource,
    /// icmpgate with one limit for all.
    Total,
    /// nftables at the ingress hook, with one limit for all.
    NftTotal,
    /// The same with a limit by source, in a set.
    NftBySource,
    /// xdp-filter of xdp-tools: it has no limits, and drops by address.
    XdpTools,
    /// Another, which a command of the user's loads.
    Other,
}

impl Filter {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 9] = [
        Self::Floor,
        Self::Read,
        Self::SourceFloor,
        Self::BySource,
        Self::Total,
        Self::XdpTools,
        Self::NftTotal,
        Self::NftBySource,
        Self::Other,
    ];

    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Floor => "XDP_DROP and a counter",
            Self::Read => "XDP_DROP, once the frame is read",
            Self::SourceFloor => "XDP_DROP, once its source is looked up",
            Self::BySource => "icmpgate, limit by source",
            Self::Total => "icmpgate, one limit",
            Self::NftTotal => "nftables netdev, one limit",
            Self::NftBySource => "nftables netdev, limit by source",
            Self::XdpTools => "xdp-filter, drop by source",
            Self::Other => "another, by its command",
        }
    }

    /// Whether it is neither icmpgate nor the floor.
    pub(crate) const fn is_peer(self) -> bool {
        matches!(self, Self::NftTotal | Self::NftBySource | Self::XdpTools | Self::Other)
    }

    /// Whether a flood from so many sources is for it. Nobody writes 65,536 addresses into xdp-filter.
    pub(crate) const fn takes(self, sources: u32) -> bool {
        !matches!(self, Self::XdpTools) || sources == 1
    }

    /// The limit that it has under a flood from so many sources. So low that next to nothing passes: what is
    /// measured is the filter and not the stack behind it.
    const fn limit(self, sources: u32) -> Option<Limit> {
        match self {
            Self::Floor | Self::Read | Self::SourceFloor | Self::XdpTools | Self::Other => None,
            Self::BySource | Self::NftBySource if sources > 1 => Some(Limit::Hour),
            Self::BySource | Self::NftBySource | Self::Total | Self::NftTotal => {
                Some(Limit::Second)
            }
        }
    }
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    /// [`RATE`] a second, and [`BURST`] at once.
    Second,
    /// One an hour.
    Hour,
}

const RATE: u32 = 1000;
const BURST: u32 = 100;

/// What a filter has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Packets that it let pass.
    pub(crate) passed: u64,
    /// Packets that it dropped.
    pub(crate) dropped: u64,
}

impl Counted {
    /// All that it judged.
    pub(crate) const fn judged(self) -> u64 {
        self.passed + self.dropped
    }

    /// What came after an earlier reading.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self { passed: self.passed - before.passed, dropped: self.dropped - before.dropped }
    }
}

/// A filter that is loaded.
pub(crate) struct Loaded {
    filter: Filter,
    program: PathBuf,
    /// Of what is only the rig's: the copy whose program it is.
    floor: Option<Instance>,
    /// Of xdp-filter: where its pins are.
    mounts: Option<Mounts>,
    /// Of another: its loader.
    loader: Option<Loader>,
}

/// The user's command: a shell, and whatever it has started.
struct Loader(Child);

impl Loader {
    fn id(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }

    /// How the shell ended, where it has. It isn't waited for yet, so that its number stays its own.
    fn ended(&self) -> Result<Option<WaitStatus>> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(self.id()), look)?;
        Ok((status != WaitStatus::StillAlive).then_some(status))
    }
}

impl Drop for Loader {
    /// It goes with the stage, whatever came of it: all of its group, which is of its own.
    fn drop(&mut self) {
        let _ = killpg(self.id(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// What the filters are loaded with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct With<'a> {
    /// The icmpgate that is measured.
    pub(crate) program: &'a Path,
    /// The command that loads another filter at [`GATE`].
    pub(crate) other: Option<&'a str>,
}

impl Loaded {
    /// Loads a filter at the stage's gate.
    pub(crate) fn load(
        filter: Filter,
        sources: u32,
        with: With<'_>,
        stage: &Stage,
        mounts: &Mounts,
    ) -> Result<Self> {
        let program = with.program;
        let mut loaded =
            Self { filter, program: program.to_owned(), floor: None, mounts: None, loader: None };
        let limit = filter.limit(sources);
        match (filter, limit) {
            (Filter::BySource | Filter::Total, Some(limit)) => {
                let file = stage.folder.join("policy.toml");
                fs::write(&file, policy(filter, limit))?;
                let words = ["attach", "--iface", GATE, "--mode", "native", "--policy"];
                let mut command = Command::new(program);
                command.args(words).arg(file).arg("--pin-dir").arg(stage.pins.path());
                finish(command, stage)?;
            }
            (Filter::NftTotal | Filter::NftBySource, Some(limit)) => {
                // What is redirected to an interface without an XDP program arrives only with this.
                finish(words("ethtool", &format!("-K {GATE} gro on")), stage)?;
                let file = stage.folder.join("rules.nft");
                fs::write(&file, ruleset(filter, limit))?;
                let mut command = Command::new("nft");
                command.arg("-f").arg(file);
                finish(command, stage)?;
            }
            (Filter::XdpTools, _) => {
                // It pins at a fixed path, so it gets a BPF filesystem of its own.
                let mounts = loaded.mounts.insert(mounts.try_clone()?);
                let load = format!("load --features ipv4 --mode native {GATE}");
                for arguments in [load.as_str(), "ip --mode src 10.0.0.0"] {
                    let mut command = words("xdp-filter", arguments);
                    mounts.inside(&mut command)?;
                    finish(command, stage)?;
                }
            }
            (Filter::Other, _) => {
                finish(words("ethtool", &format!("-K {GATE} gro on")), stage)?;
                let command = with.other.context("no command")?;
                let mounts = loaded.mounts.insert(mounts.try_clone()?);
                loaded.loader = Some(start(command, stage, mounts)?);
            }
            _ => {
                let (mut floor, _) = Instance::private(&policy::profile(Profile::Host), false)?;
                let program = match filter {
                    Filter::Read => Program::ReadDrop,
                    Filter::SourceFloor => Program::SourceFloor,
                    _ => Program::CountedDrop,
                };
                stage.gate.run(|| Ok(floor.attach_floor(program, if_nametoindex(GATE)?)?))?;
                loaded.floor = Some(floor);
            }
        }
        Ok(loaded)
    }

    /// What it has counted so far, as its user would read it.
    pub(crate) fn counted(&self, stage: &Stage) -> Result<Counted> {
        match self.filter {
            Filter::Floor | Filter::Read | Filter::SourceFloor => {
                let floor = self.floor.as_ref().context("the floor is loaded")?;
                Ok(Counted { passed: 0, dropped: floor.dropped_by_floor()? })
            }
            Filter::BySource | Filter::Total => {
                let mut command = words(&self.program, "stats --prometheus --pin-dir");
                command.arg(stage.pins.path());
                by_reason(&finish(command, stage)?)
            }
            Filter::NftTotal | Filter::NftBySource => {
                by_counter(&finish(words("nft", "--json list counters"), stage)?)
            }
            // Whatever it counts, and how: what its interface received it has judged.
            Filter::Other => Ok(Counted { passed: 0, dropped: lane::received_by(stage)? }),
            Filter::XdpTools => {
                let mut command = words("xdp-filter", "status");
                self.mounts.as_ref().context("xdp-filter is loaded")?.inside(&mut command)?;
                by_action(&finish(command, stage)?)
            }
        }
    }

    /// How many packets of a flood it should let pass.
    pub(crate) fn passes(&self, sources: u32, took: Duration) -> RangeInclusive<u64> {
        let allowed = f64::from(RATE) * took.as_secs_f64();
        match self.filter.limit(sources) {
            // What it is to do, who gave the command knows.
            None if self.filter == Filter::Other => 0..=u64::MAX / 2,
            None => 0..=0,
            // The tests of the limits are exact; here it is seen that the limit is the one that was meant.
            Some(Limit::Second) => {
                (0.7 * allowed) as u64..=(1.3 * allowed) as u64 + u64::from(BURST)
            }
            // The first of each source.
            Some(Limit::Hour) => 0..=u64::from(sources),
        }
    }
}

/// How long a loader may take until its program is at the interface.
const LOADS: Duration = Duration::from_secs(10);

/// Starts the command that loads another filter, which has until [`LOADS`] to end or to have its program there.
fn start(command: &str, stage: &Stage, mounts: &Mounts) -> Result<Loader> {
    let mut shell = Command::new("sh");
    shell.args(["-ec", command]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    netns::dies_with_us(&mut shell, libc::SIGKILL);
    stage.gate.inside(&mut shell)?;
    mounts.inside(&mut shell)?;
    let loader = Loader(shell.spawn().context("can't start sh")?);
    let mut ended = None;
    let is_there = signal::wait(LOADS, || {
        ended = loader.ended()?;
        let has_program = || finish(words("ip", &format!("link show dev {GATE}")), stage);
        anyhow::Ok(ended.is_some() || has_program()?.contains("prog/xdp"))
    })?;
    match ended {
        Some(WaitStatus::Exited(_, 0)) => {}
        Some(status) => bail!("`{command}` failed: {status:?}"),
        None => ensure!(
            is_there,
            "`{command}` goes on, and no XDP program is at {GATE} after {} s",
            LOADS.as_secs()
        ),
    }
    Ok(loader)
}

/// The policy of icmpgate.
fn policy(filter: Filter, limit: Limit) -> String {
    let limit = match limit {
        Limit::Second => format!("rate = {RATE}, burst = {BURST}"),
        Limit::Hour => "rate = 1, burst = 1, every = \"hour\"".to_owned(),
    };
    let key = if filter == Filter::BySource { ", key = \"source\"" } else { "" };
    format!(
        "profile = \"host\"\n[[rule]]\nname = \"flood\"\nfamily = \"icmpv4\"\n\
         type = \"echo-request\"\naction = \"limit\"\nlimit = {{ {limit}{key} }}\n"
    )
}

/// The rules of nftables, with one counter moved for each packet, as icmpgate does.
fn ruleset(filter: Filter, limit: Limit) -> String {
    let limit = match limit {
        Limit::Second => format!("limit rate over {RATE}/second burst {BURST} packets"),
        Limit::Hour => "limit rate over 1/hour burst 1 packets".to_owned(),
    };
    let (set, over) = match filter {
        Filter::NftBySource => (
            "set sources { type ipv4_addr; size 131072; flags dynamic; }",
            format!("add @sources {{ ip saddr {limit} }}"),
        ),
        _ => ("", limit),
    };
    format!(
        "table netdev bench {{\ncounter over {{ }}\ncounter within {{ }}\n{set}\nchain gate {{\n\
         type filter hook ingress device \"{GATE}\" priority 0; policy accept;\n\
         icmp type echo-request {over} counter name \"over\" drop\n\
         icmp type echo-request counter name \"within\" accept\n}}\n}}\n"
    )
}

/// The counters of icmpgate for echo requests, of which each must be within the limit or beyond it.
fn by_reason(text: &str) -> Result<Counted> {
    let mut counted = Counted::default();
    let echo = Counts::read(text).only(|k| k.hook == "ingress" && k.family == "icmpv4");
    for (key, packets) in echo.iter().filter(|(key, _)| key.ty == "8") {
        match (&*key.reason, &*key.verdict) {
            ("within-limit", "pass") => counted.passed += packets,
            ("over-limit", "drop") => counted.dropped += packets,
            (reason, verdict) => bail!("{packets} packets are counted as {reason}, {verdict}"),
        }
    }
    Ok(counted)
}

/// The two named counters of nftables.
fn by_counter(json: &str) -> Result<Counted> {
    let json: Value = serde_json::from_str(json).context("nft's answer isn't JSON")?;
    let objects = json["nftables"].as_array().context("nft's answer has another form")?;
    let named = |name: &str| {
        let counter = objects.iter().map(|o| &o["counter"]).find(|c| c["name"] == name);
        let packets = counter.and_then(|counter| counter["packets"].as_u64());
        packets.with_context(|| format!("nft has no counter {name}"))
    };
    Ok(Counted { passed: named("within")?, dropped: named("over")? })
}

/// The statistics of xdp-filter.
fn by_action(text: &str) -> Result<Counted> {
    let action = |name: &str| {
        let mut lines = text.lines().map(str::split_whitespace);
        let packets = lines.find_map(|mut line| (line.next() == Some(name)).then(|| line.next()));
        let packets = packets.flatten().and_then(|packets| packets.parse().ok());
        packets.with_context(|| format!("xdp-filter tells no {name}"))
    };
    Ok(Counted { passed: action("XDP_PASS")?, dropped: action("XDP_DROP")? })
}

fn words(program: impl AsRef<Path>, arguments: &str) -> Command {
    let mut command = Command::new(program.as_ref());
    command.args(arguments.split(' ')).env("LC_ALL", "C");
    command
}

/// Runs a command to its end behind the stage's gate, and returns what it printed.
fn finish(mut command: Command, stage: &Stage) -> Result<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Out of reach of a ctrl-C, which is for the bench: it then clears away.
    command.process_group(0);
    netns::dies_with_us(&mut command, libc::SIGKILL);
    stage.gate.inside(&mut command)?;
    let program = command.get_program().to_owned();
    let name = Path::new(&program).file_name().unwrap_or(&program).display();
    let out = command.output().with_context(|| format!("can't start {}", program.display()))?;
    let complaint = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{name}: {}", complaint.trim().replace('\n', "; "));
    Ok(String::from_utf8(out.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_hold() {
        for filter in [Filter::BySource, Filter::Total] {
            for limit in [Limit::Second, Limit::Hour] {
                policy::from_str("bench", &policy(filter, limit)).unwrap();
            }
        }
    }

    #[test]
    fn what_the_tools_print_is_read() {
        let nft = r#"{"nftables": [{"metainfo": {"version": "1.0.6"}},
            {"counter": {"family": "netdev", "name": "over", "packets": 7, "bytes": 350}},
            {"counter": {"family": "netdev", "name": "within", "packets": 3, "bytes": 150}}]}"#;
        assert_eq!(by_counter(nft).unwrap(), Counted { passed: 3, dropped: 7 });
        let xdp_filter = "CURRENT XDP-FILTER STATUS:\n\nAggregate per-action statistics:\n  \
            XDP_ABORTED      0 pkts    0 KiB\n  XDP_DROP       7 pkts   1 KiB\n  \
            XDP_PASS         3 pkts    0 KiB\n";
        assert_eq!(by_action(xdp_filter).unwrap(), Counted { passed: 3, dropped: 7 });
        assert!(by_counter("{}").is_err() && by_action("").is_err());
    }

    #[test]
    fn another_reason_than_the_limit_is_an_error() {
        let line = |ty, reason, verdict| {
            format!(
                "icmpgate_packets_total{{hook=\"ingress\",family=\"icmpv4\",type=\"{ty}\",\
                 code=\"0\",reason=\"{reason}\",verdict=\"{verdict}\"}} 5\n"
            )
        };
        let good = line(8, "within-limit", "pass") + &line(8, "over-limit", "drop");
        let good = good + &line(3, "denied", "drop");
        assert_eq!(by_reason(&good).unwrap(), Counted { passed: 5, dropped: 5 });
        assert!(by_reason(&line(8, "bad-checksum", "drop")).is_err());
    }
}
