//! What the system counts of this process (`/proc/self`, proc(5)), read at each scrape.

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
    },
    registry::Registry,
};

/// `/proc` tells times in hundredths of a second on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Facts of the build, told as labels of `seawall_build_info`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Build {
    /// The version, as in `0.1.0`.
    pub version: String,
    /// The commit built from.
    pub revision: String,
    /// The compiler.
    pub rustc: String,
}

pub(super) fn register(registry: &mut Registry, build: Build) {
    let info = Family::<Build, Gauge>::default();
    info.get_or_create(&build).set(1);
    registry.register("seawall_build_info", "The build that runs; always 1", info);
    registry.register_collector(Box::new(Process));
}

#[derive(Debug)]
struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        // A file that cannot be read leaves its metrics out; a wrong zero would be worse.
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            let boot = fs::read_to_string("/proc/stat").ok().and_then(|s| boot_time(&s));
            if let Some((cpu, started)) = times(&stat) {
                counter(&mut encoder, "process_cpu_seconds", "CPU time spent, in seconds", cpu)?;
                if let Some(boot) = boot {
                    let help = "When the process started, in seconds since the epoch";
                    gauge(&mut encoder, "process_start_time_seconds", help, boot + started)?;
                }
            }
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            for (key, name, help) in [
                ("VmRSS:", "process_resident_memory_bytes", "Memory resident, in bytes"),
                ("VmSize:", "process_virtual_memory_bytes", "Address space, in bytes"),
            ] {
                if let Some(kib) = field(&status, key) {
                    gauge(&mut encoder, name, help, kib * 1024.0)?;
                }
            }
            if let Some(threads) = field(&status, "Threads:") {
                gauge(&mut encoder, "process_threads", "Threads", threads)?;
            }
        }
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One of them is the directory being read.
            let open = open.count().saturating_sub(1);
            gauge(&mut encoder, "process_open_fds", "Open file descriptors", open as f64)?;
        }
        if let Some(max) =
            fs::read_to_string("/proc/self/limits").ok().and_then(|l| field(&l, "Max open files"))
        {
            gauge(&mut encoder, "process_max_fds", "Most file descriptors that may be open", max)?;
        }
        Ok(())
    }
}

fn counter(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
    let metric = ConstCounter::new(value);
    metric.encode(e.encode_descriptor(name, help, None, metric.metric_type())?)
}

fn gauge(e: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: f64) -> Result<(), fmt::Error> {
    let metric = ConstGauge::new(value);
    metric.encode(e.encode_descriptor(name, help, None, metric.metric_type())?)
}

/// CPU seconds spent, and seconds from boot to start: fields 14, 15 and 22 of `/proc/self/stat`. The
/// second field is the name in parentheses and may hold anything, so counting begins after the last `)`.
fn times(stat: &str) -> Option<(f64, f64)> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(((ticks(14)? + ticks(15)?) / TICKS_PER_SECOND, ticks(22)? / TICKS_PER_SECOND))
}

/// When the machine booted, in seconds since the epoch.
fn boot_time(stat: &str) -> Option<f64> {
    field(stat, "btime")
}

/// The number right after `key` at the beginning of a line.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn fields_are_found() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 9 0 123400 1 2 3";
        assert_eq!(times(stat), Some((2.0, 1234.0)));
        assert_eq!(times("7 (a"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!(field("VmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048.0));
        assert_eq!(field("Max open files            1024   4096  files\n", "Max open files"), Some(1024.0));
    }

    #[test]
    fn this_process_is_told_of() {
        let metrics = Metrics::new();
        let build = Build { version: "1.2.3".into(), revision: "abc".into(), rustc: "1.95".into() };
        metrics.describe_process(build);
        let text = metrics.encode();
        let value = |name: &str| field(&text, name).unwrap_or_else(|| panic!("{name} in {text}"));
        assert!(value("process_resident_memory_bytes ") > 1e5);
        assert!(value("process_open_fds ") >= 1.0);
        assert!(value("process_start_time_seconds ") > 1.7e9);
        assert!(value("process_cpu_seconds_total ") >= 0.0);
        assert!(
            text.contains("seawall_build_info{version=\"1.2.3\",revision=\"abc\",rustc=\"1.95\"} 1\n"),
            "{text}"
        );
    }
}
