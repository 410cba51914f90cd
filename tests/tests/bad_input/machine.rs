//! Interfaces, privilege, bpffs, drivers, programs and ports that are not as they should be.

use crate::{FAILED, refused, said};
use icmpgate_tests::{
    Site,
    daemon::{around, program},
    netns::{HOST_IF, Namespace, PATIENCE, eventually, finish},
};
use serde_json::Value;
use std::{
    io,
    os::fd::{FromRawFd as _, OwnedFd},
    thread,
    time::{Duration, Instant},
};

#[test]
fn an_interface_that_there_is_not_is_named() {
    let site = Site::new();
    let line = "there is no interface \"nope0\"; `ip link` lists them";
    for command in ["run --metrics off", "attach"] {
        refused(&site, &mut site.command(&format!("{command} --iface nope0")), FAILED, line);
        // All or none: the one that there is stays free.
        let words = format!("{command} --iface {HOST_IF} --iface nope0");
        refused(&site, &mut site.command(&words), FAILED, line);
    }
}

#[test]
fn several_interfaces_that_there_are_not_have_a_line_each() {
    let site = Site::new();
    let output = site.icmpgate("run --iface nope0 --iface nope1");
    assert_eq!(output.status.code(), Some(FAILED));
    let lines = ["nope0", "nope1"]
        .map(|name| format!("icmpgate: there is no interface {name:?}; `ip link` lists them\n"));
    assert_eq!(said(&output), lines.concat());
    site.assert_nothing_left();
}

#[test]
fn without_privilege_every_capability_that_lacks_is_named() {
    let site = Site::new();
    let all = "missing CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF; run as root, or grant the program \
               CAP_NET_ADMIN, CAP_PERFMON, CAP_BPF";
    let run = format!("run --iface {HOST_IF} --metrics off");
    let attach = format!("attach --iface {HOST_IF}");
    let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let nothing = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"];
    for outer in [&nobody[..], &nothing] {
        for words in [&run[..], &attach, "detach", "status", "stats", "explain --hex 00"] {
            // `explain` has no pin directory that matters.
            let inner = site.command(words);
            refused(&site, &mut around(&site.pair.host, outer, &inner), FAILED, all);
        }
    }
}

#[test]
fn of_one_capability_that_lacks_the_others_are_not_named() {
    let site = Site::new();
    let inner = site.command(&format!("run --iface {HOST_IF} --metrics off"));
    for (without, named) in [
        ("-net_admin", "CAP_NET_ADMIN"),
        ("-sys_admin,-bpf", "CAP_BPF"),
        ("-sys_admin,-perfmon", "CAP_PERFMON"),
        ("-sys_admin,-bpf,-perfmon", "CAP_PERFMON, CAP_BPF"),
    ] {
        let inherited = format!("--inh-caps={without}");
        let bounding = format!("--bounding-set={without}");
        let outer = ["setpriv", &inherited, &bounding];
        let line = format!("missing {named}; run as root, or grant the program {named}");
        refused(&site, &mut around(&site.pair.host, &outer, &inner), FAILED, &line);
    }
}

#[test]
fn a_pin_directory_off_bpffs_is_refused_and_not_made() {
    let site = Site::new();
    let dir = site.file("file", "");
    let dir = dir.replace("/file", "/pins");
    for command in ["run --metrics off", "attach"] {
        let mut run = site.pair.host.command(program());
        run.args(command.split(' ')).args(["--iface", HOST_IF, "--pin-dir", &dir]);
        let line = format!(
            "{dir} is not on a BPF filesystem; mount one with `mount -t bpf bpf /sys/fs/bpf`, or \
             choose another with --pin-dir"
        );
        refused(&site, &mut run, FAILED, &line);
        assert!(!std::path::Path::new(&dir).exists());
    }
}

/// The program in a mount namespace of its own, prepared by a line of shell.
fn remounted(site: &Site, prepare: &str, words: &str) -> std::process::Command {
    let script = format!("{prepare} && exec \"$0\" \"$@\"");
    let outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script];
    around(&site.pair.host, &outer, &site.command(words))
}

#[test]
fn bpffs_that_is_not_mounted_is_said_with_the_command_that_mounts_it() {
    let site = Site::new();
    let words = format!("run --iface {HOST_IF} --metrics off");
    let mut command = remounted(&site, "umount /sys/fs/bpf", &words);
    let line = format!(
        "{} is not on a BPF filesystem; mount one with `mount -t bpf bpf /sys/fs/bpf`, or choose \
         another with --pin-dir",
        site.pins().display()
    );
    refused(&site, &mut command, FAILED, &line);
}

/// A name for the network of a site, by which `ip netns` finds it.
struct Named(String);

impl Named {
    fn new(site: &Site) -> Self {
        let name = format!("icmpgate-test-{}", std::process::id());
        let mut inside = site.pair.host.words("sleep 60").spawn().expect("starts");
        let attach = format!("netns attach {name} {}", inside.id());
        // What `ip` asks is the network of the process, which is this one until it has moved.
        let own = std::fs::read_link("/proc/self/ns/net").expect("a link");
        let of_it = format!("/proc/{}/ns/net", inside.id());
        let moved = || std::fs::read_link(&of_it).is_ok_and(|its| its != own);
        assert!(eventually(PATIENCE, moved));
        site.pair.host.ip(&attach);
        inside.kill().expect("it ends");
        inside.wait().expect("it ends");
        Self(name)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[test]
fn bpffs_that_ip_netns_exec_hides_is_said_with_the_command_that_does_not() {
    let site = Site::new();
    let named = Named::new(&site);
    let name = &named.0;
    let outside = Namespace::new();
    let pins = site.pins().display();
    let line = format!(
        "{pins} is not on a BPF filesystem here: `ip netns exec` mounts /sys anew, without what is mounted \
         below it; use `nsenter --net=/run/netns/{name} icmpgate ...` in place of `ip netns exec {name} \
         icmpgate ...`"
    );
    let attach = format!("attach --iface {HOST_IF}");
    let (exec, enter) = (["ip", "netns", "exec", name], format!("--net=/run/netns/{name}"));
    for words in [&attach[..], "status", "detach"] {
        refused(&site, &mut around(&outside, &exec, &site.command(words)), FAILED, &line);
    }
    for words in [&attach[..], "status", "detach"] {
        let mut command = around(&outside, &["nsenter", &enter], &site.command(words));
        let output = finish(&mut command, PATIENCE);
        assert!(output.status.success(), "{words}: {}", said(&output));
    }
    site.assert_nothing_left();
}

#[test]
fn a_kernel_that_does_not_say_where_tcp_has_its_numbers_is_said_and_works() {
    let site = Site::new();
    // A header, and no types behind it.
    let mut empty = vec![0x9f, 0xeb, 1, 0, 24, 0, 0, 0];
    empty.extend([0; 16]);
    let empty = site.file("empty.btf", empty);
    let cut = site.file("cut.btf", [0x9f, 0xeb, 1]);
    for mount in [
        "mount -t tmpfs none /sys/kernel/btf".to_owned(),
        format!("mount --bind {empty} /sys/kernel/btf/vmlinux"),
        format!("mount --bind {cut} /sys/kernel/btf/vmlinux"),
    ] {
        let words = format!("attach --iface {HOST_IF}");
        let mut command = remounted(&site, &mount, &words);
        let output = finish(&mut command, PATIENCE);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let note =
            "icmpgate: note: this kernel doesn't say where it keeps the sequence numbers of TCP ";
        assert_eq!(said.lines().filter(|line| line.starts_with(note)).count(), 1, "{said}");
        site.done("detach");
        site.assert_nothing_left();
    }
}

#[test]
fn native_mode_is_refused_where_the_driver_has_none() {
    let site = Site::new();
    site.pair.host.ip("link add br0 type bridge");
    site.pair.host.ip("link set br0 up");
    for command in ["run --metrics off", "attach"] {
        let words = format!("{command} --mode native --iface br0");
        let line = "the driver of br0 does not take XDP programs (Operation not supported (os \
                    error 95)); use --mode auto or --mode generic";
        refused(&site, &mut site.command(&words), FAILED, line);
        // The other interface, whose driver does, isn't attached either.
        let words = format!("{command} --mode native --iface {HOST_IF} --iface br0");
        refused(&site, &mut site.command(&words), FAILED, line);
    }
}

/// Whichever program is attached first, nothing is left on the one, and the other has what it had.
#[test]
fn an_interface_that_is_refused_leaves_the_instance_as_it_was() {
    let site = Site::new();
    site.pair.host.ip("link add br0 type bridge");
    site.pair.host.ip("link set br0 up");
    site.done(&format!("attach --iface {HOST_IF}"));
    let status = || -> Vec<[Value; 3]> {
        let of = |i: &Value| ["interface", "mode", "egress"].map(|key| i[key].clone());
        site.json("status")["interfaces"].as_array().expect("a list").iter().map(of).collect()
    };
    let attached = || (site.attached(), site.attached_to_sent(), status());
    let before = attached();
    for also in ["", " --iface gate0"] {
        let output = site.icmpgate(&format!("attach --mode native --iface br0{also}"));
        assert_eq!(output.status.code(), Some(FAILED));
        assert!(
            said(&output).contains("the driver of br0 does not take XDP programs"),
            "{output:?}"
        );
        assert!(eventually(PATIENCE, || attached() == before), "{:?}, not {before:?}", attached());
    }
    // And nothing keeps it from being attached another way.
    site.done("attach --iface br0");
    assert_eq!(site.attached(), [HOST_IF, "br0"]);
    site.done("detach");
    site.assert_nothing_left();
}

/// What is sent by it isn't filtered where what arrives can't be.
#[test]
fn an_interface_that_comes_back_and_is_refused_has_nothing_on_it() {
    let site = Site::new();
    let daemon = site.start("--mode native");
    site.pair.unplug();
    daemon.hear("gate0 went away; its counters are kept");
    site.pair.host.ip(&format!("link add {HOST_IF} type bridge"));
    site.pair.host.ip(&format!("link set {HOST_IF} up"));
    daemon.hear("gate0 is back and can't be attached: the driver of gate0 does not take XDP");
    // It is tried again each second.
    let tried = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < tried {
        assert_eq!(site.attached_to_sent(), [""; 0]);
        thread::sleep(Duration::from_millis(5));
    }
    daemon.stop();
    site.assert_nothing_left();
}

#[test]
fn an_interface_without_an_ethernet_header_is_refused() {
    let site = Site::new();
    site.pair.host.ip("tuntap add dev tun7 mode tun");
    site.pair.host.ip("link set tun7 up");
    let line = "tun7 has no Ethernet header (its link type is 65534); icmpgate reads Ethernet \
                frames only";
    for command in ["run --metrics off", "attach"] {
        for mode in ["auto", "native", "generic"] {
            let words = format!("{command} --mode {mode} --iface tun7");
            refused(&site, &mut site.command(&words), FAILED, line);
        }
    }
}

#[test]
fn a_metrics_port_that_is_taken_attaches_nothing() {
    let site = Site::new();
    let listener = site.pair.host.run(|| std::net::TcpListener::bind(("127.0.0.1", 19000)));
    let _listener = listener.expect("a port");
    let words = format!("run --iface {HOST_IF} --metrics 127.0.0.1:19000");
    let line = "the metrics address 127.0.0.1:19000 is taken; choose another with --metrics \
                ADDR:PORT, or serve none with --metrics off";
    refused(&site, &mut site.command(&words), FAILED, line);
}

#[test]
fn a_metrics_address_that_is_not_ours_attaches_nothing() {
    let site = Site::new();
    let words = format!("run --iface {HOST_IF} --metrics 192.0.2.1:9917");
    let line = "metrics can't be served on 192.0.2.1:9917: Cannot assign requested address (os \
                error 99); choose an address of this machine with --metrics ADDR:PORT (is `lo` \
                up?), or serve none with --metrics off";
    refused(&site, &mut site.command(&words), FAILED, line);
}

/// A program that only passes, on an interface for as long as the descriptors live.
fn foreign(namespace: &Namespace, interface: &str) -> [OwnedFd; 2] {
    const BPF_PROG_LOAD: libc::c_long = 5;
    const BPF_LINK_CREATE: libc::c_long = 28;
    const XDP: u32 = 6;
    const ATTACH_XDP: u32 = 37;

    #[repr(C, align(8))]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        licence: u64,
        log: [u64; 2],
        version: u32,
        flags: u32,
        name: [u8; 16],
        // The attach type comes behind the interface's index.
        index: u32,
        attach: u32,
    }
    #[repr(C, align(8))]
    struct Link {
        program: u32,
        index: u32,
        attach: u32,
        flags: u32,
    }
    fn bpf<T>(command: libc::c_long, attributes: &T) -> OwnedFd {
        let pointer = std::ptr::from_ref(attributes);
        // SAFETY: the attributes are of the form and length that the command takes, and what they
        // point to lives through the call; it gives a new descriptor.
        unsafe {
            let fd = libc::syscall(libc::SYS_bpf, command, pointer, size_of::<T>());
            assert!(fd >= 0, "bpf({command}): {}", io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd as i32)
        }
    }

    // r0 = XDP_PASS; exit
    let instructions: [u64; 2] = [0x0000_0002_0000_00b7, 0x95];
    let mut name = [0; 16];
    name[..9].copy_from_slice(b"my_filter");
    let program = bpf(
        BPF_PROG_LOAD,
        &Load {
            kind: XDP,
            count: 2,
            instructions: instructions.as_ptr() as u64,
            licence: c"GPL".as_ptr() as u64,
            log: [0; 2],
            version: 0,
            flags: 0,
            name,
            index: 0,
            attach: ATTACH_XDP,
        },
    );
    let index = namespace.index(interface);
    let number = std::os::fd::AsRawFd::as_raw_fd(&program) as u32;
    let link = Link { program: number, index, attach: ATTACH_XDP, flags: 0 };
    let link = namespace.run(|| bpf(BPF_LINK_CREATE, &link));
    [program, link]
}

#[test]
fn a_foreign_program_is_named_and_stays() {
    let site = Site::new();
    let theirs = foreign(&site.pair.host, HOST_IF);
    let before = site.pair.host.ip(&format!("-details link show dev {HOST_IF}"));
    for command in ["run --metrics off", "run --metrics off --mode generic", "attach"] {
        let output = site.icmpgate(&format!("{command} --iface {HOST_IF}"));
        assert_eq!(output.status.code(), Some(FAILED));
        let said = said(&output);
        let start = "icmpgate: gate0 already has an XDP program: my_filter (id ";
        let end = "); icmpgate does not take its place; end the program that attached it, or \
                   remove it with `ip link set dev gate0 xdp off`\n";
        assert!(said.starts_with(start) && said.ends_with(end), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!site.pins().exists());
    }
    assert_eq!(site.pair.host.ip(&format!("-details link show dev {HOST_IF}")), before);
    drop(theirs);
    site.assert_nothing_left();
}

#[test]
fn another_instance_of_our_own_is_as_foreign() {
    let site = Site::new();
    let daemon = site.start("");
    let other = format!("{}-other", site.pins().display());
    let mut command = site.pair.host.command(program());
    command.args(["run", "--iface", HOST_IF, "--metrics", "off", "--pin-dir", &other]);
    let output = finish(&mut command, PATIENCE);
    assert_eq!(output.status.code(), Some(FAILED));
    let said = said(&output);
    assert!(
        said.starts_with("icmpgate: gate0 already has an XDP program: icmpgate_ingres"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(!std::path::Path::new(&other).exists());
    site.pair.peer.tool("ping -n -c 1 10.77.0.1");
    assert_eq!(site.stats().packets("gate0 icmpv4 8/0 pass"), 1, "the first goes on");
    daemon.stop();
}

#[test]
fn a_pin_that_was_removed_by_hand_is_named_with_what_helps() {
    let site = Site::new();
    for map in ["IFACES", "POLICY_INFO"] {
        site.done(&format!("attach --iface {HOST_IF}"));
        std::fs::remove_file(site.pins().join(map)).expect("a pin");
        let file = site.file("policy.toml", "profile = \"host\"\n");
        for words in ["status", "stats", &format!("apply {file}")] {
            let output = site.icmpgate(words);
            assert_eq!(output.status.code(), Some(FAILED), "{words}");
            let line = said(&output);
            let start =
                format!("icmpgate: the map {map} of {} can't be opened (", site.pins().display());
            let end = "); what is pinned there is not whole: `icmpgate detach` clears it away, then \
                       run again\n";
            assert!(line.starts_with(&start) && line.ends_with(end), "{words}: {line}");
            assert_eq!(line.lines().count(), 1, "{words}: {line}");
        }
        site.done("detach");
        site.assert_nothing_left();
    }
}
