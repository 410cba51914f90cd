//! `profiles`: what ships inside the program, and how a policy differs from the one it starts from.

use super::{
    DONE, Global,
    check::{Summary, group_lines, write_policy},
    failure::Failure,
    output::{Out, Sink, columns, paragraph, say},
};
use crate::{
    datapath::{Maps, text},
    policy::{
        self, CheckedPolicy, CompileContext, Difference, Profile, TableLine, diff, load, profile,
    },
};
use icmp_common::abi::PolicyInfo;
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The profile to show whole, or to compare with
    name: Option<String>,
    /// The policy file to compare; without one, that of the instance
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The policy in force.
pub struct Present {
    /// It.
    pub policy: CheckedPolicy,
    /// Whether its file says something else by now, or is gone.
    edited: bool,
}

impl Present {
    /// That of an instance, by the text that is kept of it; `None` where there is none, or no text.
    pub fn of(info: &PolicyInfo, kept: Option<String>) -> Option<Self> {
        if info.generation == 0 {
            return None;
        }
        let path = text(&info.path);
        if path.is_empty() {
            let name = text(&info.profile);
            return Some(Self { policy: profile(Profile::from_name(&name)?), edited: false });
        }
        let kept = kept?;
        let edited = fs::read(&path).map_or(true, |now| now != kept.as_bytes());
        Some(Self { policy: policy::from_str(&path, &kept).ok()?, edited })
    }
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: String,
}

#[derive(Serialize)]
struct Compared {
    profile: &'static str,
    policy: String,
    edited: bool,
    differences: Vec<Difference>,
}

/// Shows profiles.
pub fn run(args: &Args, global: &Global, out: &mut Out) -> anyhow::Result<ExitCode> {
    let named = args.name.as_deref().map(by_name).transpose()?;
    match (named, &args.policy) {
        (Some(named), None) => show(named, args.json, out)?,
        (named, Some(file)) => {
            let policy = load(file)?;
            let base = named.unwrap_or(policy.profile);
            compare(base, &Present { policy, edited: false }, args.json, out)?;
        }
        (None, None) => list(args.json, present(global), out)?,
    }
    Ok(ExitCode::from(DONE))
}

fn by_name(name: &str) -> Result<Profile, Failure> {
    Profile::from_name(name).ok_or_else(|| {
        let names = Profile::ALL.map(Profile::name).join(", ");
        Failure::Usage(format!("there is no profile {name:?}; there are {names}"))
    })
}

/// The policy of the instance, where there is one.
fn present(global: &Global) -> Option<Present> {
    let maps = Maps::open(&global.pins()).ok()?;
    let (info, kept) = (maps.policy_info().ok()?, maps.policy_text().ok()?);
    let present = Present::of(&info, kept);
    if present.is_none() && info.generation != 0 {
        say(format_args!(
            "the policy in force came from {}; what it said isn't kept",
            text(&info.path)
        ));
    }
    present
}

fn show(named: Profile, json: bool, out: &mut Out) -> anyhow::Result<()> {
    let policy = profile(named);
    if json {
        out.json(&Summary::of(&policy))?;
        return Ok(());
    }
    paragraph(out, &format!("{}: {}", named.name(), named.description()))?;
    writeln!(out)?;
    let compiled = policy.compile(&CompileContext::EMPTY)?;
    write_policy(out, &policy, &compiled)?;
    Ok(())
}

fn list(json: bool, present: Option<Present>, out: &mut Out) -> anyhow::Result<()> {
    if json {
        #[derive(Serialize)]
        struct All {
            profiles: Vec<Listed>,
            present: Option<Compared>,
        }
        let profiles = Profile::ALL
            .map(|p| Listed { name: p.name(), description: p.description() })
            .into_iter()
            .collect();
        let present = present.map(|p| compared(p.policy.profile, &p));
        out.json(&All { profiles, present })?;
        return Ok(());
    }
    let rows = Profile::ALL.map(|named| [named.name().to_owned(), named.description()]);
    columns(out, [false; 2], &rows)?;
    writeln!(out, "\n`icmpgate profiles NAME` shows the rules of one.")?;
    if let Some(present) = present {
        writeln!(out)?;
        compare(present.policy.profile, &present, false, out)?;
    }
    Ok(())
}

fn compared(base: Profile, present: &Present) -> Compared {
    Compared {
        profile: base.name(),
        policy: present.policy.name.clone(),
        edited: present.edited,
        differences: diff(&profile(base), &present.policy),
    }
}

fn compare(base: Profile, present: &Present, json: bool, out: &mut Out) -> anyhow::Result<()> {
    if json {
        out.json(&compared(base, present))?;
        return Ok(());
    }
    if present.edited {
        let said = "says something else by now, or is gone; this is the policy in force.";
        paragraph(out, &format!("{} {said}", present.policy.name))?;
    }
    let what = format!("the profile {}", base.name());
    write_difference(out, &what, &profile(base), &present.policy)?;
    Ok(())
}

/// What differs between two policies, line by line: `-` the former, `+` the latter.
pub fn write_difference(
    out: &mut dyn Sink,
    what: &str,
    before: &CheckedPolicy,
    after: &CheckedPolicy,
) -> io::Result<()> {
    let mut marks = vec![' '];
    let mut lines: Vec<TableLine> = Vec::new();
    for Difference { before, after, .. } in diff(before, after) {
        for (mark, line) in [('-', before), ('+', after)] {
            if let Some(line) = line {
                marks.push(mark);
                lines.push(line);
            }
        }
    }
    let mut other = Vec::new();
    if before.mode != after.mode {
        other.push(format!("mode: {} -> {}", before.mode.label(), after.mode.label()));
    }
    for ((fault, old), (_, new)) in before.checks.faults().zip(after.checks.faults()) {
        if old != new {
            other.push(format!("check {}: {} -> {}", fault.label(), old.label(), new.label()));
        }
    }
    if before.keys != after.keys {
        let of = |keys: Option<u32>| keys.map_or("the default".to_owned(), |keys| keys.to_string());
        other.push(format!("keys: {} -> {}", of(before.keys), of(after.keys)));
    }
    other.extend(router_changes(before, after));
    other.extend(speed_changes(before, after));
    other.extend(group_changes(before, after));
    other.extend(zone_changes(before, after));
    let name = &after.name;
    if lines.is_empty() && other.is_empty() {
        return paragraph(out, &format!("{name} says the same as {what}."));
    }
    paragraph(out, &format!("{name} differs from {what}:"))?;
    if !lines.is_empty() {
        let mut rows = policy::rows(&lines);
        for (mark, row) in marks.iter().zip(&mut rows) {
            row[0] = format!("{mark} {}", row[0]);
        }
        columns(out, [false; _], &rows)?;
    }
    other.iter().try_for_each(|line| paragraph(out, &format!("  {line}")))
}

/// What they say of groups.
fn group_changes(before: &CheckedPolicy, after: &CheckedPolicy) -> Vec<String> {
    let [was, is] = [before, after].map(|policy| group_lines(&policy.groups));
    let gone = was.iter().filter(|line| !is.contains(line)).map(|line| format!("no longer {line}"));
    let new = is.iter().filter(|line| !was.contains(line)).cloned();
    let mut changes: Vec<String> = gone.chain(new).collect();
    // The numbers have no line of their own.
    let numbers = |policy: &CheckedPolicy| {
        let groups = &policy.groups;
        [groups.per_interface, groups.per_host, groups.joins]
    };
    if numbers(before) != numbers(after) {
        let [was, is] = [before, after].map(|p| numbers(p).map(|n| n.to_string()).join(", "));
        changes.push(format!("groups an interface, groups a host, joins a second: {was} -> {is}"));
    }
    changes
}

/// The routers that they list.
fn router_changes(before: &CheckedPolicy, after: &CheckedPolicy) -> Vec<String> {
    let only = |these: &CheckedPolicy, those: &CheckedPolicy| -> Vec<_> {
        these.routers.iter().copied().filter(|router| !those.routers.contains(router)).collect()
    };
    let gone = only(before, after).into_iter().map(|router| format!("no longer router {router}"));
    let new = only(after, before).into_iter().map(|router| format!("router {router}"));
    gone.chain(new).collect()
}

/// The speeds that they give interfaces.
fn speed_changes(before: &CheckedPolicy, after: &CheckedPolicy) -> Vec<String> {
    let names: BTreeSet<&String> = before.speeds.keys().chain(after.speeds.keys()).collect();
    let of = |policy: &CheckedPolicy, name: &String| {
        policy.speeds.get(name).map_or("its own".to_owned(), ToString::to_string)
    };
    names
        .into_iter()
        .filter(|name| before.speeds.get(*name) != after.speeds.get(*name))
        .map(|name| format!("speed of {name}: {} -> {}", of(before, name), of(after, name)))
        .collect()
}

/// Zones by their names; who is in them is counted, not listed.
fn zone_changes(before: &CheckedPolicy, after: &CheckedPolicy) -> Vec<String> {
    let prefixes = |policy: &CheckedPolicy, name: &str| {
        policy.zones.iter().find(|z| z.name == name).map(|z| z.prefixes.clone()).unwrap_or_default()
    };
    let mut names: Vec<&str> =
        before.zones.iter().chain(&after.zones).map(|z| z.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (prefixes(before, name), prefixes(after, name));
            (old != new).then(|| {
                let added = new.iter().filter(|p| old.binary_search(p).is_err()).count();
                let removed = old.iter().filter(|p| new.binary_search(p).is_err()).count();
                format!("zone {name}: {added} prefixes added, {removed} removed")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference(before: &str, after: &str) -> String {
        let before = policy::from_str("before", before).unwrap();
        let after = policy::from_str("after", after).unwrap();
        let mut text = Vec::new();
        write_difference(&mut text, "before", &before, &after).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn what_is_the_same_is_said_to_be() {
        assert_eq!(
            difference("profile = \"host\"", "profile = \"host\""),
            "after says the same as before.\n"
        );
    }

    #[test]
    fn rules_checks_mode_and_zones_differ() {
        let after = r#"
            profile = "host"
            mode = "observe"
            [checks]
            bad-checksum = "off"
            [zones]
            lan = ["10.0.0.0/8", "fd00::/8"]
            [[rule]]
            name = "no-ping"
            family = "icmpv4"
            type = "echo-request"
            zone = "lan"
            action = "drop"
        "#;
        let text = difference("profile = \"host\"\nmode = \"observe\"", after);
        assert!(text.starts_with("after differs from before:\n  MESSAGE "), "{text}");
        assert!(text.contains("\n+ icmpv4 8 echo-request"), "{text}");
        assert!(text.contains("\n  check bad-checksum: enforce -> off\n"), "{text}");
        assert!(text.ends_with("\n  zone lan: 2 prefixes added, 0 removed\n"), "{text}");
        let text = difference("profile = \"host\"", "profile = \"host\"\nmode = \"observe\"");
        assert!(text.contains("\n  mode: enforce -> observe\n"), "{text}");
    }

    #[test]
    fn routers_and_keys_differ() {
        let before = "profile = \"host\"\nrouters = [\"fe80::1\", \"192.0.2.1\"]";
        let after =
            "profile = \"host\"\nrouters = [\"192.0.2.1\", \"fe80::2\"]\n[limits]\nkeys = 4096";
        let text = difference(before, after);
        let lines: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            lines,
            ["  keys: the default -> 4096", "  no longer router fe80::1", "  router fe80::2"],
            "{text}"
        );
    }

    #[test]
    fn a_bare_profile_is_known_from_the_maps_alone() {
        use zerocopy::FromZeros;
        let mut info = PolicyInfo::new_zeroed();
        assert!(Present::of(&info, None).is_none());
        info.generation = 1;
        info.profile[..6].copy_from_slice(b"router");
        let present = Present::of(&info, None).unwrap();
        assert_eq!((present.policy.profile, present.edited), (Profile::Router, false));
    }

    #[test]
    fn the_text_that_is_kept_is_the_policy_whatever_its_file_says_by_now() {
        use zerocopy::FromZeros;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.toml");
        let text = "profile = \"strict\"\n";
        fs::write(&file, text).unwrap();
        let mut info = PolicyInfo::new_zeroed();
        info.generation = 1;
        let path = file.to_str().unwrap().as_bytes();
        info.path[..path.len()].copy_from_slice(path);
        let present = || {
            let present = Present::of(&info, Some(text.to_owned())).unwrap();
            (present.policy.profile, present.edited)
        };
        assert_eq!(present(), (Profile::Strict, false));
        fs::write(&file, "profile = \"host\"\n").unwrap();
        assert_eq!(present(), (Profile::Strict, true));
        fs::remove_file(&file).unwrap();
        assert_eq!(present(), (Profile::Strict, true));
        assert!(Present::of(&info, None).is_none());
    }
}
