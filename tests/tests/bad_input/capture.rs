//! What is given to `explain` and isn't frames.

use crate::{FAILED, WRONG, refused, said};
use icmpgate_tests::{Ipv4, Site, message::echo};

/// A capture of one frame (draft-ietf-opsawg-pcap), little-endian.
fn capture(frame: &[u8]) -> Vec<u8> {
    let mut octets = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65535, 1] {
        octets.extend(word.to_le_bytes());
    }
    for word in [1, 0, frame.len() as u32, frame.len() as u32] {
        octets.extend(word.to_le_bytes());
    }
    octets.extend(frame);
    octets
}

#[test]
fn a_capture_that_is_cut_short_is_explained_up_to_there_and_the_place_named() {
    let site = Site::new();
    let frame: Vec<u8> = Ipv4::default().icmp(echo(8)).into();
    let mut octets = capture(&frame);
    octets.extend(&capture(&frame)[24..]);
    let whole = site.file("whole.pcap", &octets);
    assert_eq!(site.done(&format!("explain --json --pcap {whole}")).lines().count(), 2);
    octets.truncate(octets.len() - 5);
    let cut = site.file("cut.pcap", &octets);
    let output = site.icmpgate(&format!("explain --json --pcap {cut}"));
    assert_eq!(output.status.code(), Some(FAILED), "{}", said(&output));
    assert!(
        said(&output).starts_with(&format!("icmpgate: {cut} is truncated: ")),
        "{}",
        said(&output)
    );
    assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1);
    site.assert_nothing_left();
}

#[test]
fn a_record_that_claims_4_gib_is_one_line_behind_what_was_before_it() {
    let site = Site::new();
    let frame: Vec<u8> = Ipv4::default().icmp(echo(8)).into();
    let mut octets = capture(&frame);
    let place = octets.len();
    for word in [1, 0, u32::MAX, u32::MAX] {
        octets.extend(word.to_le_bytes());
    }
    octets.extend(&frame);
    let file = site.file("claims.pcap", &octets);
    for json in ["", " --json"] {
        let output = site.icmpgate(&format!("explain{json} --pcap {file}"));
        let line = format!(
            "icmpgate: {file} is damaged: frame 2 at octet {place} claims 4294967295 octets"
        );
        assert!(said(&output).starts_with(&line), "{}", said(&output));
        assert_eq!(said(&output).lines().count(), 1, "{}", said(&output));
        assert_eq!(output.status.code(), Some(FAILED), "{}", said(&output));
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        let explained = if json.is_empty() { "     1  pass  " } else { "{\"frame\":1," };
        assert!(shown.starts_with(explained), "{shown}");
        assert_eq!(shown.contains("\n1 frame, policy host\n"), json.is_empty(), "{shown}");
    }
    site.assert_nothing_left();
}

#[test]
fn what_is_no_capture_is_one_line() {
    let site = Site::new();
    for (name, content) in
        [("empty", &b""[..]), ("short", b"\xd4\xc3\xb2"), ("text", b"hello, world\n")]
    {
        let file = site.file(name, content);
        let output = site.icmpgate(&format!("explain --pcap {file}"));
        assert_eq!(output.status.code(), Some(FAILED), "{name}: {}", said(&output));
        assert!(
            said(&output).starts_with(&format!("icmpgate: {file} ")),
            "{name}: {}",
            said(&output)
        );
        assert_eq!(said(&output).lines().count(), 1, "{name}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{name}");
    }
}

#[test]
fn hexadecimal_digits_come_in_pairs() {
    let site = Site::new();
    let line = "--hex: the frame has 7 hexadecimal digits, which is odd: an octet has two, so one \
                is missing or one too many";
    refused(&site, &mut site.command("explain --hex 0200000"), WRONG, line);
    let line = said(&site.icmpgate("explain --hex 02000g"));
    assert!(line.starts_with("icmpgate: --hex: ") && line.lines().count() == 1, "{line}");
}

#[test]
fn an_origin_of_what_arrives_is_refused() {
    let site = Site::new();
    let line = "--origin is of what is sent; use it with --hook egress";
    let mut command = site.command("explain --origin forwarded --hex 00");
    refused(&site, &mut command, WRONG, line);
}
