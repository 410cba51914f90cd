//! `explain`: runs frames through the real program in the kernel, and says what it did and why.
//!
//! The program is a private copy with maps of its own, so that no live counter and no live bucket
//! is touched. The policy is whatever is asked for, and *local* means the addresses of the machine
//! that this runs on. A capture is replayed as fast as it can be: limits look at the time of the
//! replay, not at that of the capture.
//!
//! `would` stands in JSON where the verdict was only noted and would have been another: the reason
//! drops or answers when it is enforced, and the check, the rule or the whole policy is `observe`. What was
//! only noted and passes anyway has none.

use super::{DONE, block_on, failure::Failure};
use crate::{
    capture::{Capture, Content, Frame, hex},
    datapath::{Endpoint, Error, Instance, Program, check_system, surroundings},
    policy::{self, CheckMode, CheckedPolicy, Compiled, Profile},
};
use anyhow::Context as _;
use icmp_common::{
    abi::{RULE_NONE, Trace, checksum, family, fragment, limit_flag, origin, tc_action},
    classify, flow,
    verdict::{FAULTS, JUDGED, Mode, Outcome, Reason, Verdict, enforceable},
};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    path::PathBuf,
    process::ExitCode,
};

/// What to explain, and how
#[derive(Debug, clap::Args)]
#[command(
    group(clap::ArgGroup::new("frames").required(true).args(["pcap", "hex"])),
    after_help = "Nothing that is attached is touched: the frames run through a private copy of \
                  the program, with counters and limits of its own. A capture is replayed as fast \
                  as it can be, so limits look at the time of the replay, not at that of the \
                  capture. Rules that tell local from transit go by the addresses of this machine, and \
                  so do answers; without --iface, they come from any interface. A redirect that this \
                  machine makes is held against its routes by the interface of --iface."
)]
pub struct Args {
    /// The policy; without it, the profile `host`
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Where the frames are met
    #[arg(long, value_enum, default_value_t = Hook::Ingress)]
    pub hook: Hook,
    /// With --hook egress, whether this machine made them or forwards them
    #[arg(long, value_enum, default_value_t = Origin::Generated)]
    pub origin: Origin,
    /// The interface that they are met on, for rules that name one; it need not exist
    #[arg(long, value_name = "NAME")]
    pub iface: Option<String>,
    /// A capture of Ethernet frames, pcap or pcapng; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// One frame in hexadecimal digits, from the Ethernet header on; spaces, colons and 0x may stand
    /// between the octets
    #[arg(long, value_name = "HEX")]
    pub hex: Option<String>,
    /// A line of JSON for each frame
    #[arg(long)]
    pub json: bool,
}

/// A hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Hook {
    /// What arrives
    Ingress,
    /// What this machine sends
    Egress,
}

impl Hook {
    fn as_policy(self) -> policy::Hook {
        match self {
            Self::Ingress => policy::Hook::Ingress,
            Self::Egress => policy::Hook::Egress,
        }
    }

    fn program(self) -> Program {
        match self {
            Self::Ingress => Program::Ingress,
            Self::Egress => Program::Egress,
        }
    }

    /// What the program's return value means; `None` where it has no such value.
    fn verdict(self, action: u32) -> Option<Verdict> {
        match (self, action) {
            (Self::Ingress, XDP_DROP) => Some(Verdict::Drop),
            (Self::Ingress, XDP_PASS) => Some(Verdict::Pass),
            (Self::Ingress, XDP_TX) => Some(Verdict::Tx),
            (Self::Egress, action) if action as i32 == tc_action::SHOT => Some(Verdict::Drop),
            (Self::Egress, action) if action as i32 == tc_action::UNSPEC => Some(Verdict::Pass),
            _ => None,
        }
    }
}

/// Where what is sent comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Origin {
    /// From this machine
    Generated,
    /// From another, through this one
    Forwarded,
}

impl Origin {
    fn index(self) -> u8 {
        match self {
            Self::Generated => origin::GENERATED,
            Self::Forwarded => origin::FORWARDED,
        }
    }
}

/// Explains every frame.
///
/// # Errors
/// Where the command line, the policy or the capture is wrong, or the kernel can't be asked. Frames
/// before the one that can't be read have been explained then.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<ExitCode> {
    if args.hook == Hook::Ingress && args.origin == Origin::Forwarded {
        return Err(usage("--origin is of what is sent; use it with --hook egress"));
    }
    // What is wrong with the input shows before the kernel is asked for anything.
    let mut input = Input::open(args)?;
    let policy = match &args.policy {
        Some(path) => policy::load(path)?,
        None => policy::profile(Profile::Host),
    };
    // What it notes is for live traffic.
    let _ = check_system()?;
    let explainer = Explainer::load(policy, args)?;
    let mut summary = Summary::default();
    let read = loop {
        // Who watches a capture grow sees each frame when it comes.
        if !input.is_ready() {
            out.flush()?;
        }
        let frame = match input.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        };
        let explained = explainer.explain(&frame)?;
        if args.json {
            let line = serde_json::to_string(&explainer.line(&explained))?;
            writeln!(out, "{line}")?;
        } else {
            explainer.write(out, &explained)?;
        }
        summary.add(&explained);
    };
    // Of a capture that can't be read at all, that is all there is to say.
    if !args.json && (read.is_ok() || summary.frames > 0) {
        summary.write(out, &explainer)?;
    }
    read?;
    Ok(ExitCode::from(DONE))
}

fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure::Usage(message.into()).into()
}

/// Where frames come from.
enum Input {
    Capture(Capture<Box<dyn Read>>),
    Hex { octets: Vec<u8>, taken: bool },
}

impl Input {
    fn open(args: &Args) -> anyhow::Result<Self> {
        match (&args.pcap, &args.hex) {
            (Some(path), _) => Ok(Self::Capture(Capture::open(path)?)),
            (None, Some(text)) => {
                let octets = hex::parse(text).map_err(|error| usage(format!("--hex: {error}")))?;
                Ok(Self::Hex { octets, taken: false })
            }
            (None, None) => Err(usage("name a capture with --pcap, or give a frame with --hex")),
        }
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Capture(capture) => capture.is_ready(),
            Self::Hex { .. } => true,
        }
    }

    fn next_frame(&mut self) -> Result<Option<Frame<'_>>, crate::capture::Error> {
        match self {
            Self::Capture(capture) => capture.next_frame(),
            Self::Hex { taken: true, .. } => Ok(None),
            Self::Hex { octets, taken } => {
                *taken = true;
                Ok(Some(Frame { number: 1, content: Content::Ethernet(octets) }))
            }
        }
    }
}

/// What became of a frame.
struct Explained {
    number: u64,
    fate: Fate,
}

enum Fate {
    /// The program ran.
    Run { verdict: Verdict, trace: Trace },
    /// It didn't, and why.
    NotRunnable(String),
}

impl Explained {
    fn verdict(&self) -> Option<Verdict> {
        match self.fate {
            Fate::Run { verdict, .. } => Some(verdict),
            Fate::NotRunnable(_) => None,
        }
    }

    fn reason(&self) -> Reason {
        match self.fate {
            Fate::Run { trace, .. } => Outcome(trace.outcome).reason(),
            Fate::NotRunnable(_) => Reason::NOT_RUNNABLE,
        }
    }

    /// The verdict that was only noted, where it would have been another.
    fn would(&self) -> Option<Verdict> {
        let Fate::Run { trace, .. } = self.fate else { return None };
        let outcome = Outcome(trace.outcome);
        let would = outcome.would();
        (outcome.mode() == Mode::Observe && would != Verdict::Pass).then_some(would)
    }
}

/// A line of JSON. Its keys and their order are fixed.
#[derive(Serialize)]
struct Line<'a> {
    frame: u64,
    family: Option<&'static str>,
    r#type: Option<u8>,
    code: Option<u8>,
    name: Option<&'static str>,
    checksum: Option<&'static str>,
    verdict: Option<&'static str>,
    reason: &'static str,
    rule: Option<&'a str>,
    /// What was found of its flow, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    flow: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<&'static str>,
}

/// A private copy of the program, and what its numbers mean.
struct Explainer {
    instance: Instance,
    policy: CheckedPolicy,
    compiled: Compiled,
    hook: Hook,
    origin: Origin,
    /// Whether rules have a share of the interface's speed and that isn't known.
    without_shares: bool,
}

impl Explainer {
    fn load(policy: CheckedPolicy, args: &Args) -> anyhow::Result<Self> {
        let (mut instance, compiled) = match args.iface.as_deref() {
            None => Instance::private(&policy, true)?,
            Some(name) if is_interface_name(name) => Instance::private_as(&policy, true, name)?,
            Some(name) => {
                return Err(usage(format!("--iface {name:?}: no interface can have that name")));
            }
        };
        let known = block_on(async { Ok(surroundings().await?) })
            .context("reading the addresses of this machine")?;
        instance.maps().set_surroundings(&known)?;
        match known.endpoints.iter().find(|e| Some(e.name.as_str()) == args.iface.as_deref()) {
            Some(endpoint) => instance.leave_by(endpoint.index),
            // A copy that stands for no interface of this machine answers as any of them could.
            None => instance.maps().set_endpoint(0, &Endpoint::of_any(&known.endpoints))?,
        }
        let (hook, origin) = (args.hook, args.origin);
        let has_shares = compiled.limits.iter().any(|used| {
            used.info.flags & limit_flag::SHARE != 0 && used.info.hook == hook.as_policy().index()
        });
        let interfaces = instance.maps().interfaces()?;
        let without_shares = has_shares && interfaces.iter().all(|(.., i)| !i.speed().is_known());
        Ok(Self { instance, policy, compiled, hook, origin, without_shares })
    }

    fn explain(&self, frame: &Frame<'_>) -> anyhow::Result<Explained> {
        let number = frame.number;
        let not_runnable = |why| Ok(Explained { number, fate: Fate::NotRunnable(why) });
        let octets = match frame.content {
            Content::Ethernet(octets) => octets,
            Content::Cut { captured, original } => {
                return not_runnable(format!("captured {captured} of {original} octets"));
            }
            Content::NotEthernet(link) => {
                return not_runnable(format!("link type {link} does not hold Ethernet frames"));
            }
            Content::NoStart => {
                return not_runnable("the record holds no start of a frame".to_owned());
            }
        };
        let (program, origin) = (self.hook.program(), self.origin.index());
        let run = match self.instance.run_from(program, origin, octets, 1) {
            Ok(run) => run,
            Err(error @ Error::NotRunnable { .. }) => return not_runnable(error.to_string()),
            Err(error) => return Err(error).with_context(|| format!("running frame {number}")),
        };
        let Some(verdict) = self.hook.verdict(run.action) else {
            let other = run.action as i32;
            anyhow::bail!(
                "the program returned the action {other} for frame {number}; please report it"
            );
        };
        let trace = self.instance.trace()?;
        Ok(Explained { number, fate: Fate::Run { verdict, trace } })
    }

    fn line(&self, explained: &Explained) -> Line<'_> {
        let trace = match &explained.fate {
            Fate::Run { trace, .. } => Some(trace),
            Fate::NotRunnable(_) => None,
        };
        let message = trace.filter(|t| t.has_type != 0);
        Line {
            frame: explained.number,
            family: trace.map(|t| family::label(t.family)),
            r#type: message.map(|t| t.ty),
            code: message.map(|t| t.code),
            name: message.map(|t| classify::type_name(t.family, t.ty)),
            checksum: trace.and_then(|t| checksum::label(t.checksum)),
            verdict: explained.verdict().map(Verdict::label),
            reason: explained.reason().label(),
            rule: trace.and_then(|t| self.rule(t)),
            flow: trace.and_then(|t| flow::state::label(t.flow)),
            would: explained.would().map(Verdict::label),
        }
    }

    /// The rule that decided; `None` where it was a check, or nothing had to be decided.
    fn rule(&self, trace: &Trace) -> Option<&str> {
        self.compiled
            .hook(self.hook.as_policy())
            .rule_names
            .get(usize::from(trace.rule))
            .map(String::as_str)
    }

    /// What is done about a fault where this rule decides.
    fn check_mode(&self, rule: u16, fault: Reason) -> CheckMode {
        let rules = &self.compiled.hook(self.hook.as_policy()).table.rules;
        match rules.get(usize::from(rule)).filter(|_| JUDGED & fault.bit() != 0) {
            Some(rule) if rule.checks_off & fault.bit() != 0 => CheckMode::Off,
            Some(rule) if rule.checks_observe & fault.bit() != 0 => CheckMode::Observe,
            Some(_) => CheckMode::Enforce,
            None => self.policy.checks.get(fault),
        }
    }

    /// A frame for people: what became of it, what it is, and each fault in it.
    fn write(&self, out: &mut dyn Write, explained: &Explained) -> std::io::Result<()> {
        let verdict = explained.verdict().map_or("-", Verdict::label);
        let reason = explained.reason().label();
        let number = explained.number;
        let (facts, faults, observed, rule) = match &explained.fate {
            Fate::NotRunnable(why) => (why.clone(), 0, false, RULE_NONE),
            Fate::Run { trace, .. } => {
                let mut facts = facts(trace);
                facts.extend(self.rule(trace).map(|rule| format!("rule {rule}")));
                facts.extend(explained.would().map(|v| format!("would {}", v.label())));
                let observed = Outcome(trace.outcome).mode() == Mode::Observe;
                (facts.join(", "), trace.faults, observed, trace.rule)
            }
        };
        let line = format!("{number:>6}  {verdict:4}  {reason:22}  {facts}");
        writeln!(out, "{}", line.trim_end())?;
        for fault in (0..FAULTS).map(Reason).filter(|fault| faults & fault.bit() != 0) {
            let meaning = fault.entry().map_or("", |e| e.meaning);
            let enforceable = enforceable(self.hook.as_policy().index());
            let state = match self.check_mode(rule, fault) {
                // What is sent comes from the stack, which isn't held to this.
                _ if enforceable & fault.bit() == 0 => " (observed)",
                CheckMode::Off => " (off)",
                CheckMode::Observe => " (observed)",
                // By the whole policy, or by the rule that asked for the check.
                CheckMode::Enforce if observed => " (observed)",
                CheckMode::Enforce => "",
            };
            writeln!(out, "{:14}{}: {meaning}{state}", "", fault.label())?;
        }
        Ok(())
    }
}

/// What a frame is, in parts of a sentence; empty for what isn't ours.
fn facts(trace: &Trace) -> Vec<String> {
    if trace.family == family::NONE {
        return Vec::new();
    }
    let family = family::label(trace.family);
    let mut facts = Vec::new();
    if trace.has_type != 0 {
        let name = classify::type_name(trace.family, trace.ty);
        let code = classify::code_name(trace.family, trace.ty, trace.code);
        let code = code.map(|code| format!("/{code}")).unwrap_or_default();
        facts.push(format!("{family} {name}{code} {}/{}", trace.ty, trace.code));
    } else {
        facts.push(format!("{family} without a readable message"));
    }
    match trace.fragment {
        fragment::NONE => {}
        fragment::LATER => facts = vec![format!("{family} later fragment")],
        other => facts.push(format!("{} fragment", fragment::label(other))),
    }
    facts.extend(checksum::label(trace.checksum).map(|label| format!("checksum {label}")));
    facts.extend(flow::state::label(trace.flow).map(|label| format!("flow {label}")));
    facts
}

/// `enum xdp_action` of `linux/bpf.h`.
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;

/// What the kernel takes for the name of an interface (`dev_valid_name`).
fn is_interface_name(name: &str) -> bool {
    (1..=15).contains(&name.len())
        && !matches!(name, "." | "..")
        && !name.chars().any(|c| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
}

/// How many frames had each verdict.
#[derive(Default)]
struct Summary {
    frames: u64,
    /// By verdict, reason, and the verdict that it would have had.
    by_reason: BTreeMap<(Option<Verdict>, Reason, Option<Verdict>), u64>,
}

impl Summary {
    fn add(&mut self, explained: &Explained) {
        self.frames += 1;
        let key = (explained.verdict(), explained.reason(), explained.would());
        *self.by_reason.entry(key).or_default() += 1;
    }

    fn write(&self, out: &mut dyn Write, explainer: &Explainer) -> std::io::Result<()> {
        let frames = if self.frames == 1 { "frame" } else { "frames" };
        writeln!(out, "\n{} {frames}, policy {}", self.frames, explainer.policy.name)?;
        for ((verdict, reason, would), count) in &self.by_reason {
            let verdict = verdict.map_or("-", Verdict::label);
            let would = would.map(|v| format!(" Would {}.", v.label())).unwrap_or_default();
            let meaning = reason.entry().map_or("", |e| e.meaning);
            writeln!(out, "{count:>6}  {verdict:4}  {:22}  {meaning}{would}", reason.label())?;
        }
        let limited = |(_, reason, _): &(_, Reason, _)| {
            matches!(*reason, Reason::WITHIN_LIMIT | Reason::OVER_LIMIT)
        };
        if self.frames > 1 && self.by_reason.keys().any(limited) {
            writeln!(out, "Limits looked at the time of this replay, not at the capture's.")?;
        }
        if explainer.without_shares {
            writeln!(
                out,
                "Limits that are a share of the interface's speed did not apply, as that is not known; \
                 see --iface, and [interfaces] of a policy."
            )?;
        }
        for name in &explainer.compiled.absent_interfaces {
            writeln!(
                out,
                "What the policy says of the interface {name} did not apply; see --iface."
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(reason: Reason, mode: Mode) -> Explained {
        let outcome = Outcome::new(reason, mode);
        let trace = Trace { outcome: outcome.0, ..Trace::default() };
        Explained { number: 1, fate: Fate::Run { verdict: outcome.verdict(), trace } }
    }

    #[test]
    fn would_stands_only_where_the_verdict_would_have_been_another() {
        let would = |reason, mode| explained(reason, mode).would();
        assert_eq!(would(Reason::BAD_CHECKSUM, Mode::Observe), Some(Verdict::Drop));
        assert_eq!(would(Reason::OVER_LIMIT, Mode::Observe), Some(Verdict::Drop));
        assert_eq!(would(Reason::REJECTED, Mode::Observe), Some(Verdict::Tx));
        assert_eq!(would(Reason::ACCEPTED, Mode::Observe), None);
        assert_eq!(would(Reason::BAD_CHECKSUM, Mode::Enforce), None);
    }

    #[test]
    fn the_keys_of_a_line_are_fixed() {
        let line = Line {
            frame: 1,
            family: Some("icmpv4"),
            r#type: Some(8),
            code: Some(0),
            name: Some("echo-request"),
            checksum: Some("good"),
            verdict: Some("pass"),
            reason: "accepted",
            rule: None,
            flow: None,
            would: None,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"frame":1,"family":"icmpv4","type":8,"code":0,"name":"echo-request","checksum":"good","verdict":"pass","reason":"accepted","rule":null}"#
        );
        let line = serde_json::to_string(&Line { would: Some("drop"), ..line }).unwrap();
        assert!(line.ends_with(r#""rule":null,"would":"drop"}"#), "{line}");
    }

    #[test]
    fn a_frame_is_said_in_its_own_words() {
        let unreachable = Trace {
            family: family::ICMPV4,
            has_type: 1,
            ty: 3,
            code: 3,
            checksum: checksum::GOOD,
            ..Trace::default()
        };
        let said = |trace: &Trace| facts(trace).join(", ");
        let text = "icmpv4 destination-unreachable/port-unreachable 3/3, checksum good";
        assert_eq!(said(&unreachable), text);
        let first =
            Trace { fragment: fragment::FIRST, checksum: checksum::UNVERIFIED, ..unreachable };
        assert!(said(&first).ends_with("3/3, first fragment, checksum unverified"));
        let later = Trace { family: family::IGMP, fragment: fragment::LATER, ..Trace::default() };
        assert_eq!(said(&later), "igmp later fragment");
        assert_eq!(said(&Trace::default()), "");
    }

    #[test]
    fn interface_names_are_those_that_the_kernel_takes() {
        for name in ["eth0", "a", "eth0.5", "fifteen-letters"] {
            assert!(is_interface_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a b", "a:1", "sixteen--letters"] {
            assert!(!is_interface_name(name), "{name}");
        }
    }

    #[test]
    fn what_is_typed_wrong_is_told_without_the_kernel() {
        let args = |hex: &str, origin| Args {
            policy: None,
            hook: Hook::Ingress,
            origin,
            iface: None,
            pcap: None,
            hex: Some(hex.to_owned()),
            json: false,
        };
        let error = run(&args("123", Origin::Generated), &mut Vec::new()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Failure::Usage(m)) if m.contains("odd")));
        let error = run(&args("00", Origin::Forwarded), &mut Vec::new()).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Failure::Usage(m)) if m.contains("egress")));
    }
}
