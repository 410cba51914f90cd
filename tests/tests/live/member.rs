//! A host that joins and leaves multicast groups as it is told.

use icmpgate_tests::Namespace;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

/// Joins and leaves as it is told, a line each: `join GROUP [SOURCE]`, `leave GROUP [SOURCE]`.
const MEMBER: &str = r#"
import socket, struct, sys
index = socket.if_nametoindex(sys.argv[1])
four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
def storage(address):
    if ":" in address:
        return struct.pack("=HHI16sI100x", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, address), 0)
    return struct.pack("=HH4s120x", socket.AF_INET, 0, socket.inet_aton(address))
# linux/in.h: MCAST_JOIN_GROUP and its kin.
for line in sys.stdin:
    what, group, *source = line.split()
    sock, level = (six, socket.IPPROTO_IPV6) if ":" in group else (four, socket.IPPROTO_IP)
    option = {"join": 46, "leave": 47}[what] if source else {"join": 42, "leave": 45}[what]
    request = struct.pack("=I4x", index) + storage(group) + (storage(source[0]) if source else b"")
    sock.setsockopt(level, option, request)
    print("done", flush=True)
"#;

/// A host that joins and leaves.
pub struct Member {
    child: Child,
    told: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Member {
    pub fn of(namespace: &Namespace, interface: &str) -> Self {
        let mut command = namespace.command("/usr/bin/python3");
        command.args(["-c", MEMBER, interface]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python starts");
        let told = child.stdin.take().expect("piped");
        let says = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, told, says }
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.told, "{line}").expect("it listens");
        let mut answer = String::new();
        self.says.read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "done\n", "{line}");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
