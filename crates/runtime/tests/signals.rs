//! Real signals, sent by this process to itself.

use std::process::Command;

use seawall_runtime::signals::{Event, Signals};

#[tokio::test]
async fn signals_become_events() {
    let mut signals = Signals::system().unwrap();
    for (name, wanted) in
        [("HUP", Event::Reload), ("TERM", Event::Stop), ("HUP", Event::Reload), ("INT", Event::StopNow)]
    {
        let kill = format!("kill -{name} {}", std::process::id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        assert_eq!(signals.next().await, wanted, "SIG{name}");
    }
}
