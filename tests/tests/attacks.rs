//! Rows V1 to V8 against those who attack: each attack of the table is played against a bare Linux and against one
//! behind the program as it is shipped, and harms both as the table says.

use icmpgate_tests::attack::{Attack, TABLE};

fn named(test: &str) -> &'static Attack {
    let mut found = TABLE.iter().filter(|attack| attack.test() == test);
    let attack = found.next().unwrap_or_else(|| panic!("no attack has the test {test}"));
    assert!(found.next().is_none(), "{test} is the test of two attacks");
    attack
}

/// A test for each attack, and one that looks for those that have none.
macro_rules! attacks {
    ($($test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                let attack = named(stringify!($test));
                let played = attack.play();
                let wrong = attack.wrong(&played);
                assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), attack.row(&played));
            }
        )*

        #[test]
        fn every_attack_has_a_test() {
            let tests = [$(stringify!($test)),*];
            for attack in TABLE {
                assert!(tests.contains(&attack.test().as_str()), "{}", attack.name);
            }
        }
    };
}

attacks! {
    tcp_reset_by_a_hard_error_sequence_numbers_guessed,
    tcp_reset_by_a_hard_error_the_request_seen,
    udp_reset_by_a_hard_error_the_ports_known,
    path_mtu_68_of_a_tcp_connection_sequence_numbers_guessed,
    path_mtu_1_280_of_a_tcp_connection_over_ipv6_sequence_numbers_guessed,
    path_mtu_68_about_an_echo_reply_that_nobody_sent,
    path_mtu_68_about_an_echo_reply_that_nobody_sent_strict,
    path_mtu_67_which_no_link_has,
    packet_too_big_of_1_000_octets_for_atomic_fragments,
    packet_too_big_of_1_280_octets_about_an_echo_reply_that_nobody_sent,
    packet_too_big_of_1_280_octets_about_an_echo_reply_that_nobody_sent_strict,
    error_about_a_packet_that_somebody_else_sent,
    error_from_a_loopback_address,
    error_from_the_broadcast_address,
    redirect_in_the_gateway_s_name,
    redirect_in_the_gateway_s_name_from_its_hardware_address,
    router_advertisement_of_a_rogue_router,
    router_advertisement_of_a_rogue_router_true_ones_listed,
    router_advertisement_of_icmpv4,
    neighbour_advertisement_from_elsewhere,
    neighbour_advertisement_behind_a_fragment_header,
    neighbour_advertisement_in_a_neighbour_s_name_on_the_link,
    source_quench_about_a_tcp_connection,
    smurf_echo_to_the_broadcast_address,
    smurf_echo_to_the_broadcast_address_icmp_echo_ignore_broadcasts_0,
    smurf_echo_to_all_nodes_of_the_link,
    flood_of_echo_requests_from_one_source,
    timestamp_request,
    ping_of_death,
    ping_of_death_of_ipv6,
    overlapping_fragments_of_an_echo_request,
    overlapping_fragments_of_an_echo_request_of_ipv6,
    land_echo_from_the_machine_itself,
    land_echo_from_the_machine_itself_ipv6,
    igmp_leave_from_elsewhere,
    igmp_leave_from_elsewhere_its_time_to_live_counted_out,
    mld_done_from_elsewhere,
    igmp_query_of_version_1_from_elsewhere,
    storm_of_igmp_queries_that_give_no_time,
    igmpv3_report_that_states_10_000_records_and_has_180,
    igmpv3_report_of_1_100_records,
}
