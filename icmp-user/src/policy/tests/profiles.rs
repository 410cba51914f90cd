//! The profiles, held against the table of defaults, which is written down here once more by hand.

use super::super::*;
use icmp_common::abi::limit_key::{DESTINATION, LINK, SOURCE, TOTAL};
use icmp_common::abi::{
    RULE_NONE, action, destination, family, fragment, limit_flag, origin, rule_flag,
};
use icmp_common::bucket::UNITS_PER_S;
use icmp_common::verdict::{Mode, Reason};

const LOCAL: u8 = destination::LOCAL;
const TRANSIT: u8 = destination::TRANSIT;

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    Drop,
    /// By these limits: key, rate a second, burst; those in total first.
    Limit(&'static [(u8, u64, u64)]),
    Verified,
}

use Fate::{Drop, Limit, Pass, Verified};

const ERROR: Fate = Limit(&[(SOURCE, 50, 100)]);
const REPLY: Fate = Limit(&[(SOURCE, 1000, 1000)]);
const QUERY: Fate = Limit(&[(TOTAL, 5000, 5000), (SOURCE, 100, 200)]);
const SOME: Fate = Limit(&[(SOURCE, 100, 200)]);
const FEW: Fate = Limit(&[(SOURCE, 10, 20)]);
const PMTUD: Fate = Limit(&[(TOTAL, 1000, 1000)]);
/// What is verified besides.
const REDIRECTS: &[(u8, u64, u64)] = &[(SOURCE, 10, 10)];
const NEIGHBOURS: Fate = Limit(&[(SOURCE, 100, 200), (LINK, 10_000, 10_000)]);
/// Of what is sent.
const SENT: Fate = Limit(&[(TOTAL, 1000, 50), (DESTINATION, 10, 20)]);
const SENT_PMTUD: Fate = Limit(&[(TOTAL, 1000, 1000), (DESTINATION, 10, 20)]);

/// The table of defaults for `host`. Checks aren't in force.
fn host(f: u8, message: Option<(u8, u8)>, fragment: u8) -> Fate {
    let whole = fragment == fragment::NONE;
    let Some((ty, code)) = message else {
        // Later fragments of protocols 1 and 58 are limited, those of protocol 2 dropped.
        return if fragment == fragment::LATER && f != family::IGMP { SOME } else { Drop };
    };
    match (f, ty, code) {
        (family::ICMPV4, 0, _) => REPLY,
        (family::ICMPV4, 11 | 12, _) => ERROR,
        (family::ICMPV4, 3, 4) => PMTUD,
        (family::ICMPV4, 3, 5 | 8 | 14 | 15) => Drop,
        (family::ICMPV4, 3, _) => ERROR,
        (family::ICMPV4, 5, _) => Verified,
        (family::ICMPV4, 8, _) => QUERY,
        (family::ICMPV4, ..) => Drop,
        (family::ICMPV6, 1 | 3 | 4, _) => ERROR,
        (family::ICMPV6, 2, _) => PMTUD,
        (family::ICMPV6, 5..=99 | 102..=126, _) => FEW,
        (family::ICMPV6, 128, _) => QUERY,
        (family::ICMPV6, 129, _) => REPLY,
        (family::ICMPV6, 130..=132 | 143 | 151..=153, _) => SOME,
        (family::ICMPV6, 133..=136 | 148 | 149, _) if !whole => Drop,
        (family::ICMPV6, 133..=136 | 141 | 142, _) => NEIGHBOURS,
        (family::ICMPV6, 148 | 149, _) => Pass,
        (family::ICMPV6, 137, _) if whole => Verified,
        (family::ICMPV6, ..) => Drop,
        (_, 0x11 | 0x12 | 0x16 | 0x17 | 0x22 | 0x30..=0x32, _) if whole => SOME,
        _ => Drop,
    }
}

/// The same for what a `router` has in transit.
fn transit(f: u8, message: Option<(u8, u8)>, fragment: u8) -> Fate {
    let whole = fragment == fragment::NONE;
    let Some((ty, _)) = message else {
        // What is cut before its type is no type of ICMPv6 or IGMP that passes.
        return if f == family::ICMPV4 || f == family::ICMPV6 && fragment == fragment::LATER {
            Pass
        } else {
            Drop
        };
    };
    match (f, ty) {
        (family::ICMPV4, 4 | 5 | 6 | 9 | 10 | 15..=18 | 30..=39) => Drop,
        (family::ICMPV4, _) => Pass,
        (family::ICMPV6, 1..=99 | 102..=126 | 128 | 129 | 144..=147 | 150 | 154..=161) => Pass,
        (family::ICMPV6, _) => Drop,
        (_, 0x11..=0x17 | 0x1e | 0x1f | 0x22 | 0x30..=0x32) if whole => SOME,
        _ => Drop,
    }
}

fn strict(f: u8, message: Option<(u8, u8)>, fragment: u8) -> Fate {
    match host(f, message, fragment) {
        QUERY => Drop,
        fate => fate,
    }
}

fn fate(compiled: &Compiled, f: u8, message: Option<(u8, u8)>, frag: u8, dest: u8) -> Fate {
    fate_at(compiled, Hook::Ingress, f, message, frag, dest)
}

fn fate_at(
    compiled: &Compiled,
    hook: Hook,
    f: u8,
    message: Option<(u8, u8)>,
    frag: u8,
    place: u8,
) -> Fate {
    fate_of(compiled, hook, compiled.hook(hook).rule_for(0, f, message, frag, place, 0))
}

fn fate_of(compiled: &Compiled, hook: Hook, number: u16) -> Fate {
    let number = usize::from(number);
    let rule = compiled.hook(hook).table.rules[number];
    match (rule.action, Reason(rule.reason)) {
        (action::PASS, _) => Pass,
        (action::LIMIT, Reason::OVER_LIMIT) if rule.flags & rule_flag::VERIFY != 0 => {
            assert_ne!(rule.flags & rule_flag::REDIRECT, 0);
            assert_eq!(limits_of(compiled, hook, number), REDIRECTS);
            Verified
        }
        (action::LIMIT, Reason::OVER_LIMIT) => Limit(limits_of(compiled, hook, number)),
        (action::DROP, Reason::DENIED) => Drop,
        other => panic!("{}: {other:?}", compiled.hook(hook).rule_names[number]),
    }
}

/// The one of the known lists of limits that a rule has: what it says, and what the kernel is given.
fn limits_of(compiled: &Compiled, hook: Hook, number: usize) -> &'static [(u8, u64, u64)] {
    let rule = compiled.hook(hook).table.rules[number];
    let of_rule = |l: &&LimitUse| usize::from(l.rule) == number && l.info.hook == hook.index();
    let uses = compiled.limits.iter().filter(of_rule);
    let mut found: Vec<(u8, u64, u64)> = uses
        .map(|used| {
            let (cost, depth) = match used.place {
                LimitPlace::Total(i) => (rule.totals[i].cost, rule.totals[i].depth),
                LimitPlace::Keyed(i) => (rule.keyed[i].cost, rule.keyed[i].depth),
            };
            assert_eq!(cost, UNITS_PER_S / used.info.rate);
            assert_eq!(depth, cost * used.info.burst);
            (used.info.key, used.info.rate, used.info.burst)
        })
        .collect();
    found.sort_by_key(|(key, ..)| *key);
    let known =
        [ERROR, REPLY, QUERY, SOME, FEW, PMTUD, NEIGHBOURS, SENT, SENT_PMTUD, Limit(REDIRECTS)];
    let lists = known.map(|fate| match fate {
        Limit(list) => list,
        _ => &[],
    });
    let name = &compiled.hook(hook).rule_names[number];
    lists.into_iter().find(|l| **l == found[..]).unwrap_or_else(|| panic!("{name}: {found:?}"))
}

#[test]
fn every_message_has_the_fate_that_the_defaults_say() {
    type Expected = fn(u8, Option<(u8, u8)>, u8) -> Fate;
    let expected: [(Profile, Expected, Expected); 4] = [
        (Profile::Host, host, host),
        (Profile::Router, host, transit),
        (Profile::Strict, strict, strict),
        (Profile::Observe, host, host),
    ];
    for (name, local, transit) in expected {
        let compiled = profile(name).compile(&CompileContext::EMPTY).unwrap();
        for (dest, expected) in [(LOCAL, local), (TRANSIT, transit)] {
            for f in family::ALL {
                for frag in [fragment::NONE, fragment::FIRST, fragment::LATER] {
                    let found = fate(&compiled, f, None, frag, dest);
                    assert_eq!(found, expected(f, None, frag), "{name:?} {f} {frag} {dest}");
                }
                for (ty, code) in (0..=u8::MAX).flat_map(|t| (0..=u8::MAX).map(move |c| (t, c))) {
                    for frag in [fragment::NONE, fragment::FIRST] {
                        let message = Some((ty, code));
                        let found = fate(&compiled, f, message, frag, dest);
                        let expected = expected(f, message, frag);
                        assert_eq!(found, expected, "{name:?} {f} {ty}/{code} {frag} {dest}");
                    }
                }
            }
        }
    }
}

/// What is sent: errors within limits, path MTU discovery by a reserve of its own, no quench (RFC 1812
/// 4.3.2.8, RFC 4443 2.4(f), RFC 6633), in every profile.
#[test]
fn what_is_sent_has_the_fate_that_the_defaults_say() {
    let expected = |f: u8, ty: u8, code: u8| match (f, ty, code) {
        (family::ICMPV4, 3, 4) | (family::ICMPV6, 2, _) => SENT_PMTUD,
        (family::ICMPV4, 3 | 11 | 12, _) | (family::ICMPV6, 1 | 3..=127, _) => SENT,
        (family::ICMPV4, 4, _) => Drop,
        _ => Pass,
    };
    for name in Profile::ALL {
        let compiled = profile(name).compile(&CompileContext::EMPTY).unwrap();
        for from in [origin::GENERATED, origin::FORWARDED] {
            for f in family::ALL {
                let found = fate_at(&compiled, Hook::Egress, f, None, fragment::LATER, from);
                assert_eq!(found, Pass, "{name:?} {f}");
                for (ty, code) in (0..=u8::MAX).flat_map(|t| (0..=u8::MAX).map(move |c| (t, c))) {
                    let message = Some((ty, code));
                    let found = fate_at(&compiled, Hook::Egress, f, message, fragment::NONE, from);
                    assert_eq!(found, expected(f, ty, code), "{name:?} {f} {ty}/{code}");
                }
            }
        }
    }
}

#[test]
fn every_message_is_decided_by_exactly_one_rule_of_the_profile() {
    for name in Profile::ALL {
        let policy = profile(name);
        let ties = check::ties(&policy.rules);
        assert!(ties.is_empty(), "{name:?}: {ties:?}");
        let compiled = policy.compile(&CompileContext::EMPTY).unwrap();
        assert!(
            !compiled.hook(Hook::Ingress).rule_names.iter().any(|n| n == "default"),
            "{name:?}"
        );
    }
}

#[test]
fn every_rule_names_its_source_and_decides_something_where_its_zone_is_not_empty() {
    for name in Profile::ALL {
        let policy = profile(name);
        assert!(policy.rules.iter().all(|r| r.source.is_some() && r.profile.is_some()));
        assert!(!name.description().is_empty());
        let with_monitors = format!(
            "profile = \"{}\"\n[zones]\nmonitors = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            name.name()
        );
        for line in from_str("f", &with_monitors).unwrap().table() {
            assert_eq!(line.decides, line.action != "off", "{name:?}: {}", line.rule);
        }
    }
}

#[test]
fn monitors_are_outside_the_echo_total_and_alone_are_answered_by_strict() {
    for (name, others) in
        [(Profile::Host, QUERY), (Profile::Strict, Drop), (Profile::Router, QUERY)]
    {
        let text = format!(
            "profile = \"{}\"\n[zones]\nmonitors = [\"192.0.2.0/24\", \"2001:db8::/32\"]",
            name.name()
        );
        let compiled = from_str("f", &text).unwrap().compile(&CompileContext::EMPTY).unwrap();
        for (f, ty) in [(family::ICMPV4, 8), (family::ICMPV6, 128)] {
            assert_eq!(fate(&compiled, f, Some((ty, 0)), 0, LOCAL), others, "{name:?}");
            let number = compiled.hook(Hook::Ingress).rule_for(0, f, Some((ty, 0)), 0, LOCAL, 1);
            assert_eq!(fate_of(&compiled, Hook::Ingress, number), SOME, "{name:?}");
            let transit = compiled.hook(Hook::Ingress).rule_for(0, f, Some((ty, 0)), 0, TRANSIT, 1);
            assert_eq!(transit != number, name == Profile::Router, "{name:?}");
        }
    }
}

/// What unknown flows draw on: nothing else does, and they on nothing else. Not in transit.
#[test]
fn unknown_flows_have_the_budget_that_the_defaults_say() {
    for name in Profile::ALL {
        let compiled = profile(name).compile(&CompileContext::EMPTY).unwrap();
        let table = &compiled.hook(Hook::Ingress).table;
        let unknown = |f, ty, code, place| {
            let of = compiled.hook(Hook::Ingress);
            let number = of.rule_for(0, f, Some((ty, code)), fragment::NONE, place, 0);
            let rule = &table.rules[usize::from(number)];
            let asks = rule.flags & rule_flag::FLOW != 0;
            (asks && rule.unknown != RULE_NONE).then_some((number, rule.unknown))
        };
        let mut numbers = std::collections::BTreeSet::new();
        for f in family::ALL {
            for (ty, code) in (0..=u8::MAX).flat_map(|t| (0..=u8::MAX).map(move |c| (t, c))) {
                let fate = host(f, Some((ty, code)), fragment::NONE);
                let is_reply = matches!((f, ty), (family::ICMPV4, 0) | (family::ICMPV6, 129));
                let (rate, burst) = if fate == PMTUD { (100, 100) } else { (10, 20) };
                let expected = match fate {
                    ERROR | FEW | PMTUD if name == Profile::Strict => Some(None),
                    REPLY if name == Profile::Strict && is_reply => Some(None),
                    ERROR | FEW | PMTUD => Some(Some((SOURCE, rate, burst))),
                    _ => None,
                };
                let found = unknown(f, ty, code, LOCAL);
                numbers.extend(found);
                let found = found.map(|(_, twin)| {
                    let rule = &table.rules[usize::from(twin)];
                    match rule.action {
                        action::DROP => {
                            assert_eq!(Reason(rule.reason), Reason::UNKNOWN_FLOW);
                            None
                        }
                        _ => {
                            let uses = compiled.limits.iter().filter(|l| l.info.hook == 0);
                            let own: Vec<_> = uses.filter(|l| l.rule == twin).collect();
                            // Too big a packet has a total besides, as the reserve has.
                            let one = own.iter().find(|l| l.info.key == SOURCE).unwrap();
                            let total = own.iter().find(|l| l.info.key == TOTAL);
                            let said = total.map(|l| (l.info.rate, l.info.burst));
                            assert_eq!(said, (fate == PMTUD).then_some((1000, 1000)));
                            assert_eq!(own.len(), 1 + usize::from(total.is_some()));
                            assert_ne!(one.info.flags & limit_flag::UNKNOWN_FLOW, 0);
                            assert_eq!(rule.keyed[0].limit, one.limit);
                            Some((one.info.key, one.info.rate, one.info.burst))
                        }
                    }
                });
                assert_eq!(found, expected, "{name:?} {f} {ty}/{code}");
                if name == Profile::Router {
                    assert_eq!(unknown(f, ty, code, TRANSIT), None);
                }
            }
        }
        // No two rules share one.
        let twins: std::collections::BTreeSet<u16> =
            numbers.iter().map(|(_, twin)| *twin).collect();
        assert_eq!(twins.len(), numbers.len());
        let limits: Vec<u32> = compiled.limits.iter().map(|l| l.limit).collect();
        let distinct: std::collections::BTreeSet<u32> = limits.iter().copied().collect();
        assert_eq!(distinct.len(), limits.len());
    }
}

#[test]
fn each_family_has_an_echo_total_of_its_own() {
    let compiled = profile(Profile::Host).compile(&CompileContext::EMPTY).unwrap();
    let [v4, v6] = [(family::ICMPV4, 8), (family::ICMPV6, 128)]
        .map(|(f, ty)| compiled.hook(Hook::Ingress).rule_for(0, f, Some((ty, 0)), 0, LOCAL, 0))
        .map(|number| {
            compiled.hook(Hook::Ingress).table.rules[usize::from(number)].totals[0].limit
        });
    assert_ne!(v4, v6);
}

#[test]
fn reserves_are_reserves_and_what_strangers_share_is_randomised() {
    let compiled = profile(Profile::Host).compile(&CompileContext::EMPTY).unwrap();
    let mut reserves = Vec::new();
    for used in &compiled.limits {
        let (info, name) = (
            used.info,
            &compiled.hooks[usize::from(used.info.hook)].rule_names[usize::from(used.rule)],
        );
        assert_eq!(info.flags & limit_flag::RANDOM != 0, info.key == TOTAL, "{name}");
        if info.flags & limit_flag::RESERVE != 0 {
            reserves.push(name.as_str());
        }
        let spares_gateway = info.flags & limit_flag::EXCEPT_GATEWAY != 0;
        let by_link = info.key == LINK;
        assert_eq!(spares_gateway, by_link, "{name}: a gateway is outside the total of its link");
    }
    let expected = [
        "icmpv4/fragmentation-needed",
        "icmpv6/packet-too-big",
        "egress/fragmentation-needed",
        "egress/packet-too-big",
    ];
    assert_eq!(reserves, expected);
}

#[test]
fn observe_carries_nothing_out_and_router_leaves_what_it_cannot_walk() {
    let observe = profile(Profile::Observe);
    assert_eq!(observe.mode, Mode::Observe);
    let beyond = Reason::EXTENSION_HEADERS_BEYOND_BOUND;
    for name in Profile::ALL {
        let expected =
            if name == Profile::Router { CheckMode::Observe } else { CheckMode::Enforce };
        assert_eq!(profile(name).checks.get(beyond), expected, "{name:?}");
    }
}
