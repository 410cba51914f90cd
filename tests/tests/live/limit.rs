//! Rows P2 and L1 on a wire: what passes of a flood is what the limit allows.

use crate::{counted, host};
use icmpgate_tests::{
    Ipv4, Site,
    message::echo,
    netns::{HOST4, PEER_IF, PEER4, Wire},
};
use std::{
    iter, thread,
    time::{Duration, Instant},
};

const FLOOD: usize = 100_000;

fn limit(rate: u64, burst: u64) -> String {
    host(&format!(
        r#"
        [[rule]]
        name = "limited"
        family = "icmpv4"
        type = 8
        action = "limit"
        limit = {{ rate = {rate}, burst = {burst} }}
        "#
    ))
}

/// Floods through some sockets at once, each with its share, and compares what passed with what the
/// limit allows in the time that it took.
fn flood(rate: u64, burst: u64, sockets: usize) {
    let site = Site::new();
    let daemon = site.start_with(&limit(rate, burst));
    let frame: Vec<u8> = Ipv4::between(PEER4, HOST4).icmp(echo(8)).into();
    let wires: Vec<Wire> = (0..sockets).map(|_| site.pair.peer.wire(PEER_IF)).collect();
    let mut took = Duration::ZERO;
    let stats = counted(&site, || {
        let start = Instant::now();
        thread::scope(|scope| {
            for wire in &wires {
                let frames = iter::repeat_n(&frame, FLOOD / sockets);
                scope.spawn(|| wire.send(frames, 50_000 / sockets as u32));
            }
        });
        took = start.elapsed();
    });
    let passed = stats.packets("gate0 icmpv4 8/0 pass within-limit");
    let refused = stats.packets("gate0 icmpv4 8/0 drop over-limit");
    assert_eq!(passed + refused, FLOOD as u64, "each frame is counted once");
    let allowed = rate as f64 * took.as_secs_f64() + burst as f64;
    let off = passed as f64 / allowed - 1.0;
    println!("{rate}/s burst {burst}, {sockets} sockets: {passed} of {allowed:.0}, {off:+.4}");
    assert!(off.abs() <= 0.02, "{passed} passed in {took:?}, and {allowed:.0} may: {off:+.4}");
    daemon.stop();
}

#[test]
fn a_flood_is_cut_to_the_rate_and_the_burst() {
    flood(1000, 100, 1);
}

#[test]
fn a_flood_from_two_sockets_at_once_is_cut_alike() {
    flood(1000, 100, 2);
}

/// The burst is smaller than two ticks bring, so the bucket goes by the finer clock.
#[test]
fn a_flood_is_cut_alike_where_ticks_are_too_coarse() {
    flood(20_000, 100, 2);
}
