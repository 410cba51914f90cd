//! The settings by which Linux itself limits the errors that it sends, before a program at the
//! egress hook sees them. They are only read: no setting of the machine is ever changed.

use std::fs;

/// A setting: its name, as `sysctl` has it, and what its value says.
type Named = (&'static str, &'static str);

/// Those that are read (Documentation/networking/ip-sysctl.rst).
const SETTINGS: [Named; 5] = [
    ("net.ipv4.icmp_ratelimit", "ms for each error to a destination; 0: no limit"),
    ("net.ipv4.icmp_ratemask", "the types that are limited, a bit each"),
    ("net.ipv4.icmp_msgs_per_sec", "errors a second in all, of both families"),
    ("net.ipv4.icmp_msgs_burst", "of these, how many at once"),
    ("net.ipv6.icmp.ratelimit", "ms for each error to a destination; 0: no limit"),
];

/// A setting in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelSetting {
    /// Its name, as `sysctl` has it.
    pub name: &'static str,
    /// What the value says, with its unit.
    pub meaning: &'static str,
    /// The value.
    pub value: u64,
}

/// The settings in force in this network namespace. What the kernel doesn't have here is left out:
/// until Linux 6.11 the limit in all is the machine's, and only its first namespace shows it.
#[must_use]
pub fn kernel_settings() -> Vec<KernelSetting> {
    settings(|path| fs::read_to_string(path).ok())
}

fn settings(read: impl Fn(&str) -> Option<String>) -> Vec<KernelSetting> {
    let one = |(name, meaning): Named| {
        let text = read(&format!("/proc/sys/{}", name.replace('.', "/")))?;
        Some(KernelSetting { name, meaning, value: text.trim().parse().ok()? })
    };
    SETTINGS.into_iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(read: impl Fn(&str) -> Option<String>) -> Vec<String> {
        settings(read).iter().map(|s| format!("{} {}", s.name, s.value)).collect()
    }

    #[test]
    fn each_is_read_from_its_own_file() {
        let length = |path: &str| Some(format!("{}\n", path.len()));
        assert_eq!(
            shown(length),
            SETTINGS.map(|(name, _)| format!("{name} {}", name.len() + "/proc/sys/".len()))
        );
        let file =
            |path: &str| (path == "/proc/sys/net/ipv6/icmp/ratelimit").then(|| "100\n".into());
        assert_eq!(shown(file), ["net.ipv6.icmp.ratelimit 100"]);
    }

    #[test]
    fn what_is_missing_or_no_number_is_left_out() {
        assert_eq!(shown(|_| None), Vec::<String>::new());
        for text in ["", "-1\n", "18446744073709551616\n", "0-1,3-127\n"] {
            assert_eq!(shown(|_| Some(text.to_owned())), Vec::<String>::new(), "{text:?}");
        }
    }

    #[test]
    fn this_machine_has_them() {
        assert!(kernel_settings().iter().any(|s| s.name == "net.ipv4.icmp_ratelimit"));
    }
}
