//! What the maps are given of a share, and what people are shown.

use super::super::*;
use icmp_common::abi::{FIRST_SHARE, LIMITS, SHARES, TotalLimit, limit_flag, limit_key};
use icmp_common::share::{Share, depth};

/// A policy with one rule of these limits.
fn limited(limits: &str) -> String {
    format!(
        "profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\ntype = 3\n\
         hook = \"egress\"\naction = \"limit\"\nlimits = [{limits}]\n"
    )
}

const SHARE: &str = "{ share = \"0.25%\", burst = \"50ms\" }";

fn compile(text: &str, owners: &[u64]) -> Result<Compiled, CompileError> {
    // HZ 250.
    let tick_units = 4_000_000 * icmp_common::bucket::UNITS_PER_NS;
    let context = CompileContext { tick_units, limit_owners: owners, ..CompileContext::EMPTY };
    from_str("f", text).unwrap().compile(&context)
}

/// The uses of the rule's limits, in the order in which they are written, and the rule.
fn of_rule(compiled: &Compiled) -> (Vec<LimitUse>, icmp_common::abi::Rule) {
    let table = compiled.hook(Hook::Egress);
    let number = table.rule_names.iter().position(|n| n == "a").unwrap();
    let of = |l: &&LimitUse| l.info.hook == Hook::Egress.index() && usize::from(l.rule) == number;
    let uses = compiled.limits.iter().filter(of).copied().collect();
    (uses, table.table.rules[number])
}

#[test]
fn a_share_is_a_total_with_a_factor_for_its_cost() {
    let by_destination = "{ rate = 10, burst = 20, key = \"destination\" }";
    let total = "{ rate = 1000, burst = 50 }";
    let text = limited(&format!("{SHARE}, {by_destination}, {total}"));
    let (uses, rule) = of_rule(&compile(&text, &[]).unwrap());
    let places: Vec<LimitPlace> = uses.iter().map(|u| u.place).collect();
    assert_eq!(places, [LimitPlace::Total(0), LimitPlace::Keyed(0), LimitPlace::Total(1)]);
    let share = rule.totals[0];
    let flags = limit_flag::SHARE | limit_flag::OCTETS | limit_flag::RANDOM | limit_flag::TICKS;
    let expected = TotalLimit {
        cost: Share(250).factor(),
        depth: depth(50),
        limit: uses[0].limit,
        flags,
        pad: [0; 3],
    };
    assert_eq!(share, expected);
    assert!((FIRST_SHARE..LIMITS).contains(&(share.limit as usize)));
    assert!((rule.totals[1].limit as usize) < FIRST_SHARE);
    assert!(rule.totals[1].flags & limit_flag::SHARE == 0);
    let info = uses[0].info;
    assert_eq!((info.rate, info.burst, info.period_s), (250, 50, 0));
    assert_eq!((info.key, info.flags), (limit_key::LINK, flags));
    // One that isn't told how much at once has 100 ms; one that is exact isn't randomised.
    let (_, rule) = of_rule(
        &compile(
            &limited("{ share = \"1%\", random = false }, { share = \"2%\", reserve = true }"),
            &[],
        )
        .unwrap(),
    );
    assert_eq!((rule.totals[0].depth, rule.totals[1].depth), (depth(100), depth(100)));
    assert_eq!(rule.totals[0].flags & limit_flag::RANDOM, 0);
    assert_ne!(rule.totals[1].flags & limit_flag::RESERVE, 0);
}

#[test]
fn a_share_that_did_not_change_keeps_its_buckets() {
    let before = compile(&limited(SHARE), &[]).unwrap();
    let (used, _) = of_rule(&before);
    let mut owners = vec![0; LIMITS];
    owners[used[0].limit as usize] = used[0].info.fingerprint;
    let same = |limits: &str| {
        let (uses, _) = of_rule(&compile(&limited(limits), &owners).unwrap());
        uses[0].kept && uses[0].limit == used[0].limit
    };
    assert!(same(SHARE));
    assert!(same(&SHARE.replace("0.25%", "0.250 %")));
    for other in [
        SHARE.replace("0.25%", "0.251%"),
        SHARE.replace("50ms", "51ms"),
        SHARE.replace(" }", ", random = false }"),
        SHARE.replace(" }", ", reserve = true }"),
        "{ rate = 250, burst = 50, key = \"link\" }".to_owned(),
    ] {
        assert!(!same(&other), "{other}");
    }
}

#[test]
fn there_is_room_for_so_many_shares() {
    let rules = |n: usize| {
        let rule = |i: usize| {
            format!(
                "[[rule]]\nname = \"r{i}\"\nfamily = \"icmpv4\"\ntype = {i}\naction = \"limit\"\n\
                 limit = {{ share = \"1%\" }}\n"
            )
        };
        format!("profile = \"host\"\n{}", (0..n).map(rule).collect::<String>())
    };
    assert!(compile(&rules(SHARES), &[]).is_ok());
    assert_eq!(compile(&rules(SHARES + 1), &[]).unwrap_err(), CompileError::Shares);
    // Those of the policy in force are in use until the swap.
    let mut owners = vec![0; LIMITS];
    owners[FIRST_SHARE] = 1;
    assert_eq!(compile(&rules(SHARES), &owners).unwrap_err(), CompileError::Shares);
    assert!(compile(&rules(SHARES - 1), &owners).is_ok());
}

#[test]
fn a_share_before_a_limit_by_source_does_not_move_its_penalty() {
    let text = "profile = \"host\"\n[[rule]]\nname = \"a\"\nfamily = \"icmpv4\"\ntype = 8\n\
                action = \"limit\"\nlimits = [{ share = \"1%\" }, \
                { rate = 1, burst = 1, key = \"source\" }]\n\
                penalty = { after = 9, time = \"1s\" }\n";
    let compiled = compile(text, &[]).unwrap();
    let table = compiled.hook(Hook::Ingress);
    let number = table.rule_names.iter().position(|n| n == "a").unwrap();
    assert_eq!(table.table.rules[number].penalty.keyed, 0);
}

#[test]
fn the_table_shows_a_share_as_one() {
    let shown = |limits: &str| {
        let policy = from_str("f", &limited(limits)).unwrap();
        policy.table().into_iter().find(|l| l.rule == "a").unwrap().limit.unwrap()
    };
    assert_eq!(shown(SHARE), "0.25% of the speed of its link, burst 50 ms");
    assert_eq!(
        shown("{ share = \"1%\", random = false, reserve = true }, { rate = 1, burst = 2 }"),
        "1% of the speed of its link, burst 100 ms, reserve, exact; 1 packets per second, burst 2"
    );
}
