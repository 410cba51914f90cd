//! What `run` and `attach` have in common: everything that can be wrong is found before anything
//! is attached, and what happened is said aloud.

use super::{check::gate_line, failure::Failure, output::say, watch::say_renamed};
use crate::{
    datapath::{
        self, AttachMode, Attached, Interface, Lock, Maps, PinDir, Renamed, Surroundings, attach,
        check_system, follow, renamed, surroundings, text,
    },
    policy::{self, CheckedPolicy, Compiled, Profile},
};
use clap::ValueEnum;
use icmp_common::abi::{LOCAL_ADDRESSES, ON_LINK, egress_mode};
use std::{collections::HashSet, path::PathBuf};

/// What to attach, and how.
// Its group would have the name of that of the command which takes these in.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// An interface to attach to; can be given several times
    #[arg(long, value_name = "IF", required = true)]
    iface: Vec<String>,
    /// The policy file; without one it is the profile `host`
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where in the machine's path of a packet the program sits
    #[arg(long, value_enum, default_value_t = Mode::Auto)]
    mode: Mode,
}

/// How to attach, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// In the driver where it can, else in the stack
    Auto,
    /// In the driver, or not at all
    Native,
    /// In the stack
    Generic,
}

impl From<Mode> for AttachMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Auto => Self::Auto,
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

/// A start whose every part has been looked at.
pub struct Start {
    /// The interfaces.
    pub interfaces: Vec<Interface>,
    /// How to attach.
    pub mode: AttachMode,
    policy: CheckedPolicy,
    surroundings: Surroundings,
    /// Every interface of this network namespace.
    present: Vec<Interface>,
}

/// What came of it.
pub struct Started {
    /// The interfaces, as they were attached.
    pub attached: Vec<Attached>,
    /// Those of the instance where shares of their speed aren't in force, as was said.
    pub without_shares: Vec<String>,
    /// The right to look after each of them.
    pub claims: Vec<Lock>,
}

impl Start {
    /// Looks at everything that attaching needs, and touches nothing.
    pub async fn prepare(args: &Args) -> anyhow::Result<Self> {
        let mut seen = HashSet::new();
        if let Some(twice) = args.iface.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(Failure::Usage(format!("--iface {twice} is given twice")).into());
        }
        for note in check_system()? {
            say(format_args!("note: {note}"));
        }
        let policy = match &args.policy {
            Some(path) => policy::load(path)?,
            None => policy::profile(Profile::Host),
        };
        let (mut interfaces, mut errors) = (Vec::new(), Vec::new());
        for name in &args.iface {
            match Interface::find(name).await {
                Ok(interface) => interfaces.push(interface),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(Failure::Several(errors).into());
        }
        let surroundings = surroundings().await?;
        let present = datapath::interfaces().await?;
        Ok(Self { interfaces, mode: args.mode.into(), policy, surroundings, present })
    }

    /// Attaches to all, or to none, and says how it went.
    pub fn attach(&self, pins: &PinDir, claim: bool) -> anyhow::Result<Started> {
        self.follow_names(pins)?;
        let present: HashSet<String> = pins.interfaces().into_iter().collect();
        let names = || self.interfaces.iter().map(|i| i.name.as_str());
        let mut claims = Vec::new();
        let mut take = |name: &str| pins.claim(name).map(|claim| claims.push(claim));
        // Before anything is changed under a daemon that lives.
        names().filter(|n| present.contains(*n)).try_for_each(&mut take)?;
        let before = Maps::open(pins).and_then(|maps| maps.policy_info()).ok();
        let before = before.map(|info| text(&info.path)).filter(|file| !file.is_empty());
        if let (Some(file), None) = (&before, &self.policy.path) {
            say(format_args!(
                "the policy in force came from {file}; as no --policy is named, the profile {} takes \
                 its place",
                self.policy.profile.name()
            ));
        }
        let done = attach(pins, &self.interfaces, self.mode, &self.policy, &self.surroundings);
        let (maps, compiled, attached) = done?;
        if claim {
            names().filter(|n| !present.contains(*n)).try_for_each(&mut take)?;
        }
        for interface in &attached {
            say_attached(interface, self.mode, present.contains(&interface.interface.name));
        }
        for other in present.iter().filter(|name| names().all(|n| n != name.as_str())) {
            say(format_args!(
                "note: {other} is attached here from before and goes on with the new policy; \
                 `icmpgate detach --iface {other}` frees it"
            ));
        }
        self.say_policy(&compiled);
        let without_shares = maps.without_shares()?;
        say_without_shares(&without_shares);
        if let (Some(file), Some(_)) = (before, &self.policy.path)
            && file != text(&compiled.info.path)
        {
            say(format_args!("note: the policy that was in force came from {file}"));
        }
        Ok(Started { attached, without_shares, claims })
    }

    /// Moves what a former run pinned for interfaces to the names that they have by now: then what
    /// is on them is seen to be ours, and no other interface is taken for one of them.
    fn follow_names(&self, pins: &PinDir) -> anyhow::Result<()> {
        let is_meant = |change: &Renamed| {
            self.interfaces.iter().any(|i| i.name == change.old || i.name == change.new)
        };
        loop {
            let (mut moved, mut left) = (false, Vec::new());
            for change in renamed(pins, &self.present) {
                // Of what a daemon looks after, that one does it.
                match pins.claim(&change.old).and_then(|_claim| follow(pins, &change)) {
                    Ok(()) => {
                        say_renamed(&change);
                        moved = true;
                    }
                    Err(error) => left.push((is_meant(&change), error)),
                }
            }
            // Where one takes the name that another gives up, the other's turn comes first.
            if moved {
                continue;
            }
            for (meant, error) in left {
                if meant {
                    return Err(error.into());
                }
                say(format_args!("note: {error}"));
            }
            return Ok(());
        }
    }

    fn say_policy(&self, compiled: &Compiled) {
        let CheckedPolicy { name, profile, .. } = &self.policy;
        let what = match &self.policy.path {
            Some(_) => format!("{name} (profile {})", profile.name()),
            None => format!("profile {}", profile.name()),
        };
        let (rules, generation) = (compiled.info.rules, compiled.info.generation);
        let observed = if compiled.info.observe == 0 { "" } else { ", observed only" };
        say(format_args!("policy: {what}, {rules} rules, generation {generation}{observed}"));
        if let Some(line) = gate_line(&self.policy.groups) {
            say(format_args!("{line}"));
        }
        say_absent(compiled);
        let Surroundings { addresses, on_link, .. } = &self.surroundings;
        say_too_many(
            addresses.len().saturating_sub(LOCAL_ADDRESSES),
            on_link.len().saturating_sub(ON_LINK),
        );
    }
}

/// What a policy that is in force says of interfaces that aren't there: that holds for nothing.
pub fn say_absent(compiled: &Compiled) {
    if !compiled.absent_interfaces.is_empty() {
        let absent = compiled.absent_interfaces.join(", ");
        say(format_args!("note: the policy names interfaces that are not attached here: {absent}"));
    }
}

/// Where limits that are a share of an interface's speed aren't in force.
pub fn say_without_shares(interfaces: &[String]) {
    interfaces.iter().for_each(|name| say(format_args!("warning: {}", without_shares(name))));
}

/// That limits that are a share of an interface's speed aren't in force there, and what helps.
pub fn without_shares(name: &str) -> String {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let key = if name.bytes().all(is_bare) { name.to_owned() } else { format!("{name:?}") };
    format!(
        "the speed of {name} is not known, so limits that are a share of it are not in force there; \
         the policy can give it: [interfaces.{key}] speed = \"1 Gbit/s\""
    )
}

/// That this machine has more addresses or IPv6 networks than the maps hold.
pub fn say_too_many(addresses: usize, networks: usize) {
    if addresses > 0 {
        say(format_args!(
            "this machine has {addresses} addresses more than the {LOCAL_ADDRESSES} that are held; \
             what is sent to those counts as transit"
        ));
    }
    if networks > 0 {
        say(format_args!(
            "this machine is on {networks} IPv6 networks more than the {ON_LINK} that are held; \
             limits by source take a /64 of those for one source"
        ));
    }
}

/// How an interface came to be attached.
pub fn say_attached(done: &Attached, asked: AttachMode, was_here: bool) {
    let name = &done.interface.name;
    let level = if done.native { "in the driver (native)" } else { "in the stack (generic)" };
    if done.adopted {
        say(format_args!(
            "{name}: taken up as a former run left it, {level}; no packet went unfiltered and its \
             counters go on"
        ));
        let other = matches!(
            (asked, done.native),
            (AttachMode::Native, false) | (AttachMode::Generic, true)
        );
        if other {
            say(format_args!(
                "note: {name} keeps the mode that it was attached in; `icmpgate detach --iface \
                 {name}` first to change it"
            ));
        }
    } else {
        let why = match &done.refused {
            Some(said) => format!(", since its driver refused ({said})"),
            None => String::new(),
        };
        let counters = if was_here { "; its counters go on" } else { "" };
        say(format_args!("{name}: attached {level}{why}{counters}"));
    }
    match (done.egress, &done.egress_refused) {
        (egress_mode::TCX, _) if !done.adopted => {
            say(format_args!("{name}: what is sent goes through a program of its own (TCX)"));
        }
        (egress_mode::CLSACT | egress_mode::CLSACT_MADE, _) if !done.adopted => {
            say(format_args!("{name}: what is sent goes through a filter of its own (clsact)"));
        }
        (_, Some(said)) => say(format_args!(
            "note: {name}: what is sent is not filtered, rules for it are not in force ({said})"
        )),
        _ => {}
    }
    let why = match done.interface.strips_vlan_tags() {
        Some(false) => return,
        Some(true) => format!("rx-vlan-offload is on for {name}"),
        None => format!("the driver of {name} doesn't say whether rx-vlan-offload is on"),
    };
    say(format_args!(
        "note: {why}, so the VLAN of a packet may be unknown to the program, and it answers nothing: \
         rules with action `reject` or `reply` only drop there; `ethtool -K {name} rxvlan off` shows \
         it the tags"
    ));
}
