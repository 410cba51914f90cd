//! How many answers are sent: by the limits of the rule that asks for them, and by what the policy says of
//! all that this machine sends (G1).

use crate::{HERE, HERE6, PEER, PLENTY, assert_seen, gate, limited_policy, policy, replies, rule};
use icmp_common::{
    abi::origin::GENERATED,
    verdict::{Reason, Verdict},
};
use icmpgate_tests::{
    Gate, Ipv4, Ipv6,
    gate::check,
    message::{echo, error_v4, error_v6},
};

/// What is answered of so many packets; the rest must be dropped for the one reason.
fn answered(gate: &mut Gate, frames: impl IntoIterator<Item = Vec<u8>>, beyond: Reason) -> usize {
    let mut answered = 0;
    for frame in frames {
        let seen = gate.send(&frame);
        match seen.verdict() {
            Verdict::Tx => answered += 1,
            _ => assert_seen(&seen, Verdict::Drop, beyond, &frame),
        }
    }
    gate.settle();
    answered
}

#[test]
fn answers_are_limited_by_whom_they_go_to_and_in_total() {
    let ping = |n: usize| -> Vec<u8> {
        let from = format!("192.0.{}.{}", 2 + n / 200, 1 + n % 200);
        Ipv4::between(&from, HERE).icmp(echo(8)).into()
    };
    let limits = "limits = [{ rate = 1, burst = 3, every = \"hour\", key = \"source\" }, \
                  { rate = 1, burst = 10, every = \"hour\", random = false }]";
    let reject = format!("family = \"icmpv4\"\naction = \"reject\"\n{limits}");
    let reply = format!("family = \"icmpv4\"\ntype = 8\naction = \"reply\"\n{limits}");
    for lines in [reject, reply] {
        let mut gate = gate(&policy(&[rule("limited", &lines)]));
        let times = |n: usize, times: usize| std::iter::repeat_n(ping(n), times);
        assert_eq!(answered(&mut gate, times(1, 8), Reason::OVER_LIMIT), 3);
        // What may not be answered at all draws on nothing.
        let unanswerable: Vec<u8> = Ipv4::between("192.0.2.3", "224.0.0.1").icmp(echo(8)).into();
        let never = std::iter::repeat_n(unanswerable, 5);
        assert_eq!(answered(&mut gate, never, Reason::DENIED), 0);
        assert_eq!(answered(&mut gate, times(2, 8), Reason::OVER_LIMIT), 3);
        // Of the four that are left, some are kept for who was answered before.
        let others = answered(&mut gate, (3..40).map(ping), Reason::OVER_LIMIT);
        assert!((1..=4).contains(&others), "{others}");
        let entries = gate.instance().maps().limits().expect("readable");
        let passed: Vec<u64> = entries
            .iter()
            .filter(|e| e.info.rule.starts_with(b"limited\0"))
            .map(|e| e.count.passed)
            .collect();
        assert_eq!(passed, [6 + others as u64; 2]);
    }
}

#[test]
fn a_reserve_that_is_spent_keeps_its_own_reason() {
    let lines = "family = \"icmpv4\"\naction = \"reject\"\nlimit = { rate = 1, burst = 2, \
                 every = \"hour\", reserve = true, random = false }";
    let mut gate = gate(&policy(&[rule("reserve", lines)]));
    let frame: Vec<u8> = Ipv4::between(PEER, HERE).icmp(echo(8)).into();
    let frames = std::iter::repeat_n(frame, 5);
    assert_eq!(answered(&mut gate, frames, Reason::RESERVE_EXCEEDED), 2);
}

/// RFC 1812 4.3.2.8, RFC 4443 2.4(f): 10 a second to one host, 20 at once, and 50 at once to all.
#[test]
fn errors_that_no_limit_is_written_for_are_limited_all_the_same() {
    let mut gate = gate(&policy(&[rule("no", "family = \"icmpv4\"\naction = \"reject\"")]));
    let ping = |from: &str| -> Vec<u8> { Ipv4::between(from, HERE).icmp(echo(8)).into() };
    let one = answered(&mut gate, std::iter::repeat_n(ping(PEER), 100), Reason::OVER_LIMIT);
    assert!((20..30).contains(&one), "{one}");
    let from = (0..2000).map(|n| ping(&format!("10.1.{}.{}", n / 250, 1 + n % 250)));
    let start = std::time::Instant::now();
    let all = answered(&mut gate, from, Reason::OVER_LIMIT);
    let most = 50 + (start.elapsed().as_secs_f64() * 1000.0) as usize;
    // What each is charged is random, 1 in the mean.
    assert!(all < most + 60 && all < 2000, "{all} of at most {most}");
}

/// What a limit of this rule let pass, in the order of the policy: those by key before those in total.
fn let_pass(gate: &mut Gate, rule: &str) -> Vec<u64> {
    let entries = gate.instance().maps().limits().expect("readable");
    let name = format!("{rule}\0");
    let of = entries.iter().filter(|e| e.info.rule.starts_with(name.as_bytes()));
    of.map(|e| e.count.passed).collect()
}

fn ping(from: &str) -> Vec<u8> {
    Ipv4::between(from, HERE).icmp(echo(8)).into()
}

/// Row G1: the profile's limits of what is sent bind what the hook answers.
#[test]
fn an_answer_is_limited_by_the_profile_whatever_its_rule_allows() {
    for (v6, limits) in [(false, "egress/errors"), (true, "egress/errors6")] {
        let mut gate = gate(&limited_policy(&[rejects()]));
        let one = answered(&mut gate, std::iter::repeat_n(asks(v6, 1), 60), Reason::OVER_LIMIT);
        assert!((20..30).contains(&one), "{one}");
        assert_eq!(let_pass(&mut gate, limits), [one as u64; 2]);
    }
}

/// The hook and the stack draw on the same buckets.
#[test]
fn an_answer_draws_on_what_the_stack_draws_on() {
    let limits = "hook = \"egress\"\naction = \"limit\"\nlimit = { rate = 1, burst = 9, every = \"hour\", \
                  key = \"destination\" }";
    for v6 in [false, true] {
        let mut gate = gate(&limited_policy(&[rejects(), rule("sent", limits)]));
        let stack = |gate: &mut Gate, to, times| {
            let passes = |_: &usize| {
                gate.send_egress(GENERATED, &stack_answers(v6, to)).verdict() == Verdict::Pass
            };
            (0..times).filter(passes).count()
        };
        assert_eq!(stack(&mut gate, 1, 4), 4);
        let asked = std::iter::repeat_n(asks(v6, 1), 20);
        assert_eq!(answered(&mut gate, asked, Reason::OVER_LIMIT), 5);
        assert_eq!(stack(&mut gate, 1, 4), 0);
        // Another has a bucket of its own.
        let asked = std::iter::repeat_n(asks(v6, 2), 6);
        assert_eq!(answered(&mut gate, asked, Reason::OVER_LIMIT), 6);
        assert_eq!(stack(&mut gate, 2, 20), 3);
        gate.settle();
        assert_eq!(let_pass(&mut gate, "sent"), [18]);
    }
}

fn rejects() -> String {
    rule("no", &format!("action = \"reject\"\n{PLENTY}"))
}

/// A packet that is rejected, from one of several.
fn asks(v6: bool, from: usize) -> Vec<u8> {
    match v6 {
        false => ping(&format!("192.0.2.{from}")),
        true => Ipv6::between(&format!("2001:db8:10{from}::1"), HERE6).icmp(echo(128)).into(),
    }
}

/// An error that the stack sends to one of them.
fn stack_answers(v6: bool, to: usize) -> Vec<u8> {
    match v6 {
        false => Ipv4::between(HERE, &format!("192.0.2.{to}")).icmp(error_v4(3, 3, 0)).into(),
        true => Ipv6::between(HERE6, &format!("2001:db8:10{to}::1")).icmp(error_v6(1, 4, 0)).into(),
    }
}

/// What the rule's own limit refuses draws on nothing that is sent.
#[test]
fn what_is_not_asked_for_draws_on_no_limit_of_what_is_sent() {
    let limit = "limit = { rate = 1, burst = 3, every = \"hour\", random = false }";
    let mut gate = gate(&limited_policy(&[rule("no", &format!("action = \"reject\"\n{limit}"))]));
    assert_eq!(answered(&mut gate, std::iter::repeat_n(ping(PEER), 15), Reason::OVER_LIMIT), 3);
    assert_eq!(let_pass(&mut gate, "egress/errors"), [3, 3]);
}

/// Nor does what is only observed: the stack answers that.
#[test]
fn what_is_only_observed_draws_on_no_limit_of_what_is_sent() {
    let observed = format!("action = \"reject\"\nmode = \"observe\"\n{PLENTY}");
    let mut gate = gate(&limited_policy(&[rule("no", &observed)]));
    let seen = "icmpv4 8/0 good -> pass (observed) rejected by no";
    for _ in 0..30 {
        check(&mut gate, [("observed", ping(PEER), seen)]);
    }
    assert_eq!(let_pass(&mut gate, "egress/errors"), [0, 0]);
}

#[test]
fn a_rule_for_what_is_sent_binds_errors_and_replies() {
    let silent = "[zones]\nsilent = [\"192.0.2.0/24\"]\n";
    let sent = |lines: &str| rule("quiet", &format!("hook = \"egress\"\n{lines}"));
    let rejects = rule("no", &format!("family = \"igmp\"\naction = \"reject\"\n{PLENTY}"));
    let denied = |by: &str| format!("icmpv4 8/0 good -> drop denied by {by}");
    let replied = "icmpv4 8/0 good -> tx replied by v4";
    let far = "203.0.113.77";

    // By type, of the answer and not of the packet, and to whom it goes.
    let no_replies = sent("family = \"icmpv4\"\ntype = 0\nzone = \"silent\"\naction = \"drop\"");
    let mut gate =
        gate(&limited_policy(&[&replies()[..], &[silent.to_owned(), no_replies]].concat()));
    check(
        &mut gate,
        [("in the zone", ping(PEER), &*denied("v4")), ("elsewhere", ping(far), replied)],
    );
    let no_errors =
        sent("family = \"icmpv4\"\ntype = 3\ncode = 13\norigin = \"generated\"\naction = \"drop\"");
    // From a neighbour, as queries are.
    let query = Ipv4::between("198.51.100.9", HERE).ttl(1).router_alert();
    let query: Vec<u8> = query.payload(2, [0x11, 100, 0xee, 0x9b, 0, 0, 0, 0]).into();
    gate.apply(&limited_policy(&[no_errors.clone(), rejects.clone()]));
    // IGMP is answered by ICMPv4.
    check(&mut gate, [("IGMP", query.clone(), "igmp 17/0 good -> drop denied by no")]);
    let forwarded = no_errors.replace("generated", "forwarded");
    gate.apply(&limited_policy(&[forwarded, rejects.clone()]));
    check(&mut gate, [("IGMP", query.clone(), "igmp 17/0 good -> tx rejected by no")]);
    // Where what is sent is only observed, so is what keeps an answer back.
    let observed = no_errors.replace("action", "mode = \"observe\"\naction");
    gate.apply(&limited_policy(&[observed, rejects]));
    check(&mut gate, [("observed", query, "igmp 17/0 good -> tx rejected by no")]);

    let limited = sent(
        "family = \"icmpv4\"\ntype = 0\naction = \"limit\"\nlimit = { rate = 1, burst = 4, every = \
         \"hour\", random = false }",
    );
    gate.apply(&limited_policy(&[&replies()[..], &[limited]].concat()));
    assert_eq!(answered(&mut gate, std::iter::repeat_n(ping(PEER), 9), Reason::OVER_LIMIT), 4);
    assert_eq!(let_pass(&mut gate, "quiet"), [4]);
}

/// A limit in octets counts those of the answer's frame: 576 of an error and Ethernet's 14, whatever the
/// packet has; a reply is as long as its request.
#[test]
fn a_limit_in_octets_counts_those_of_the_answer() {
    let limited = rule(
        "octets",
        "hook = \"egress\"\naction = \"limit\"\nlimit = { rate = 1, burst = 5900, unit = \"octets\", \
         random = false }",
    );
    let long =
        |length| -> Vec<u8> { Ipv4::between(PEER, HERE).icmp(echo(8).length(length)).into() };
    let reject = rule("no", &format!("family = \"icmpv4\"\naction = \"reject\"\n{PLENTY}"));
    for (text, frame, times) in [
        (limited_policy(&[reject.clone(), limited.clone()]), long(1480), 10),
        // 28 of the headers, 28 quoted, Ethernet's 14.
        (limited_policy(&[reject, limited.clone()]), long(8), 84),
        (limited_policy(&[&replies()[..], &[limited]].concat()), long(966), 5),
    ] {
        let mut gate = gate(&text);
        let sent = answered(&mut gate, std::iter::repeat_n(frame, 100), Reason::OVER_LIMIT);
        assert_eq!(sent, times, "{text}");
    }
}
