//! What is noted while a check is made.

use seawall_model::Mono;
use seawall_runtime::clock::Clock;

use crate::core::{
    assert::{self, Answer},
    check::Check,
    fault::Fault,
    report::{Report, micros},
};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Dns,
    Connect,
    Tls,
    /// A datagram is out.
    Datagram,
    Answer,
    Body,
    /// A program runs.
    Program,
}

/// What has been noted so far.
pub(crate) struct Notes {
    pub(crate) report: Report,
    /// The last HTTP answer.
    pub(crate) answer: Answer,
    pub(crate) clock: Clock,
    began: Mono,
    under_way: Option<(Phase, Mono)>,
}

impl Notes {
    /// Notes on what begins now.
    pub(crate) fn new(clock: Clock) -> Self {
        let answer = Answer::default();
        Self { report: Report::new(clock.wall()), answer, clock, began: clock.mono(), under_way: None }
    }

    /// A phase begins, and the one before it ends. Times of the same phase add up.
    pub(crate) fn begin(&mut self, phase: Phase) {
        let now = self.end();
        self.under_way = Some((phase, now));
    }

    /// The phase under way ends.
    pub(crate) fn end(&mut self) -> Mono {
        let now = self.clock.mono();
        if let Some((phase, since)) = self.under_way.take() {
            let timings = &mut self.report.timings;
            let slot = match phase {
                Phase::Dns => &mut timings.dns_us,
                Phase::Connect => &mut timings.connect_us,
                Phase::Tls => &mut timings.tls_us,
                Phase::Datagram | Phase::Answer => &mut timings.first_byte_us,
                Phase::Body | Phase::Program => &mut timings.body_us,
            };
            *slot = Some(slot.unwrap_or(0).saturating_add(micros(now.since(since))));
        }
        now
    }

    /// Time is up: what that says depends on what was under way.
    pub(crate) fn late(&self) -> Fault {
        match self.under_way {
            Some((Phase::Dns, _)) => Fault::DnsTimeout,
            Some((Phase::Connect, _)) | None => Fault::ConnectTimeout,
            Some((Phase::Tls, _)) => Fault::TlsTimeout,
            Some((Phase::Datagram, _)) => Fault::NoReply,
            Some((Phase::Answer, _)) => Fault::AnswerTimeout,
            Some((Phase::Program, _)) => Fault::ExecTimeout,
            Some((Phase::Body, _)) => Fault::BodyTimeout,
        }
    }

    /// It is over; where nothing is wrong so far, what was found is judged as a whole.
    pub(crate) fn close(mut self, check: &Check, fault: Option<Fault>) -> (Report, Answer) {
        let now = self.end();
        self.report.timings.total_us = micros(now.since(self.began));
        let judged = || assert::judge(check, &self.report, &self.answer, self.clock.wall()).err();
        self.report.fault = fault.or_else(judged);
        (self.report, self.answer)
    }
}
