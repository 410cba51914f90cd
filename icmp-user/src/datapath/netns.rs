//! What `ip netns exec` hides: it gives a command mounts of its own, with a /sys made anew for what the network
//! namespace has there, and so without the BPF filesystem that was mounted below it.

use std::{fs, path::Path};

/// Where `ip` keeps network namespaces by their names.
const NAMED: &str = "/run/netns";

/// The name of the network namespace that `ip netns exec` put this process into. By `nsenter` it is none.
pub(super) fn entered() -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let name = source_of_sys(&mounts)?;
    Path::new(NAMED).join(name).exists().then(|| name.to_owned())
}

/// What is named as the source of /sys (proc_pid_mountinfo(5)): `ip` names the namespace, others `sysfs`.
fn source_of_sys(mounts: &str) -> Option<&str> {
    // The last one covers those before.
    mounts.lines().rev().find_map(|line| {
        let (place, what) = line.split_once(" - ")?;
        let mut what = what.split(' ');
        (place.split(' ').nth(4)? == "/sys" && what.next()? == "sysfs").then(|| what.next())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_sys_is_that_of_its_last_mount() {
        let plain = "22 1 0:21 / / rw shared:1 - ext4 /dev/vda rw\n\
                     23 27 0:22 / /sys rw,relatime shared:7 - sysfs sysfs rw\n\
                     42 23 0:39 / /sys/fs/bpf rw,relatime - bpf bpf rw\n";
        assert_eq!(source_of_sys(plain), Some("sysfs"));
        let inside = format!("{plain}50 47 0:40 / /sys rw,relatime - sysfs blue rw\n");
        assert_eq!(source_of_sys(&inside), Some("blue"));
        let other = format!("{plain}50 47 0:40 / /mnt/sys rw,relatime - sysfs blue rw\n");
        assert_eq!(source_of_sys(&other), Some("sysfs"));
        assert_eq!(source_of_sys("22 1 0:21 / /sys rw - tmpfs none rw\n"), None);
    }
}
