//! Prometheus text format 0.0.4, made from the OpenMetrics text the registry writes.
//!
//! The two differ in the names and types of a family's head, and `promtool check metrics` reads only the
//! older. <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

use prometheus_client::{encoding::text, registry::Registry};

pub(super) fn encode(registry: &Registry) -> String {
    let mut open = String::new();
    text::encode_registry(&mut open, registry)
        .expect("a metric's own encoding does not fail, nor does a String");
    from_open_metrics(&open)
}

/// A family is told by its `# HELP` and `# TYPE`; in the older format both carry the name that the
/// samples carry, and there are fewer types.
fn from_open_metrics(open: &str) -> String {
    let mut out = String::with_capacity(open.len());
    let mut help = ("", "");
    for line in open.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("HELP"), Some(name), Some(text)) => help = (name, text),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let (suffix, kind) = match kind {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    other => ("", other),
                };
                if help.0 == name {
                    line_of(&mut out, format_args!("# HELP {name}{suffix} {}", help.1));
                }
                line_of(&mut out, format_args!("# TYPE {name}{suffix} {kind}"));
            }
            (Some("#"), ..) => {}
            _ => line_of(&mut out, format_args!("{line}")),
        }
    }
    out
}

fn line_of(out: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(out, "{line}").expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
        info::Info,
    };
    use prometheus_client::registry::Unit;

    use crate::metrics::Metrics;

    #[test]
    fn what_prometheus_reads() {
        let metrics = Metrics::new();
        metrics.within("gateway", |registry| {
            let calls = Family::<Vec<(&str, &str)>, Counter>::default();
            calls.get_or_create(&vec![("class", "state")]).inc_by(3);
            registry.register("calls", "Calls by class", calls);
            let took = Histogram::new(exponential_buckets(0.001, 10.0, 3));
            took.observe(0.02);
            registry.register_with_unit("took", "Time taken", Unit::Seconds, took);
            registry.register("open_connections", "Connections now", Gauge::<i64>::default());
        });
        metrics.within("build", |registry| {
            registry.register("facts", "What runs", Info::new(vec![("version", "1.2.3")]));
        });
        insta::assert_snapshot!(metrics.encode());
    }
}
