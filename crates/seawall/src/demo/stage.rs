//! What the demo plays with: one chain, three providers in processes of their own, and what was done to
//! each of them.

use std::{ffi::OsStr, fmt, io, net::SocketAddr, path::PathBuf};

use hyper::{Method, StatusCode};
use rustix::process::Signal;

use super::{
    process::{Leashed, free_address},
    provider::Behaviour,
    rpc::Rpc,
};

/// One of the three providers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// Alder.
    A,
    /// Birch.
    B,
    /// Cedar.
    C,
}

/// What can be done to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// `SIGSTOP`: connections stay up, nothing answers.
    Freeze,
    /// `SIGKILL`: connections are refused.
    Kill,
    /// Five blocks behind.
    Lag,
    /// Serves a chain of its own making.
    Lie,
    /// HTTP 503 to everything.
    Fail,
    /// 600 ms late with everything.
    Slow,
}

impl Who {
    /// All three.
    pub(super) const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// The provider's name in the estate.
    pub(super) fn provider(self) -> &'static str {
        match self {
            Self::A => "alder",
            Self::B => "birch",
            Self::C => "cedar",
        }
    }

    /// The name of its upstream in the estate.
    pub(super) fn upstream(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
        })
    }
}

impl Fault {
    /// All of them, in the order of their keys.
    pub(super) const ALL: [Self; 6] =
        [Self::Freeze, Self::Kill, Self::Lag, Self::Lie, Self::Fail, Self::Slow];

    /// What is the matter with a provider it was done to.
    pub(super) fn state(self) -> &'static str {
        match self {
            Self::Freeze => "frozen",
            Self::Kill => "killed",
            Self::Lag => "lagging",
            Self::Lie => "lying",
            Self::Fail => "failing",
            Self::Slow => "slow",
        }
    }

    /// The verb, for the help line.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Freeze => "freeze",
            Self::Kill => "kill",
            Self::Lag => "lag",
            Self::Lie => "lie",
            Self::Fail => "fail",
            Self::Slow => "slow",
        }
    }

    /// True if it makes the provider disagree with the others about the chain, so that they must outvote it.
    pub(super) fn contradicts(self) -> bool {
        match self {
            Self::Lag | Self::Lie => true,
            Self::Freeze | Self::Kill | Self::Fail | Self::Slow => false,
        }
    }
}

/// What was done to each provider, in the order of [`Who::ALL`].
pub(super) type Deeds = [Option<Fault>; 3];

/// Why `fault` cannot be done to `who` now: three providers can stand two failures, or one that contradicts
/// the others, and the demo promises no more than that.
pub(super) fn refusal(deeds: Deeds, who: Who, fault: Fault) -> Option<&'static str> {
    let others =
        || Who::ALL.into_iter().filter(|other| *other != who).filter_map(|other| deeds[other as usize]);
    if fault.contradicts() && others().count() > 0 {
        Some("two healthy providers are needed to outvote one that lags or lies: heal the other one first")
    } else if others().any(Fault::contradicts) {
        Some("a provider that lags or lies is only outvoted by two healthy ones: heal it first")
    } else if others().count() == 2 {
        Some("that is the last healthy provider: heal another one first")
    } else {
        None
    }
}

/// The chain and its providers.
pub(super) struct Stage {
    chain: Leashed,
    chain_at: SocketAddr,
    providers: [Provider; 3],
    log_dir: PathBuf,
}

struct Provider {
    process: Leashed,
    at: SocketAddr,
    fault: Option<Fault>,
}

impl Stage {
    /// Starts the chain (`anvil` is its program) and the three providers; their output goes to `log_dir`.
    pub(super) fn set(anvil: &OsStr, log_dir: PathBuf) -> io::Result<Self> {
        let chain_at = free_address()?;
        let port = chain_at.port().to_string();
        let args = ["--host", "127.0.0.1", "--port", &port, "--block-time", "1", "--silent"];
        let chain = Leashed::start(anvil, args, &log_dir.join("chain.log"))?;
        let provider = |who: Who| -> io::Result<Provider> {
            let at = free_address()?;
            Ok(Provider { process: start_provider(who, at, chain_at, &log_dir)?, at, fault: None })
        };
        let providers = [provider(Who::A)?, provider(Who::B)?, provider(Who::C)?];
        Ok(Self { chain, chain_at, providers, log_dir })
    }

    /// Where the chain itself answers.
    pub(super) fn chain_at(&self) -> SocketAddr {
        self.chain_at
    }

    /// Where a provider answers.
    pub(super) fn provider_at(&self, who: Who) -> SocketAddr {
        self.providers[who as usize].at
    }

    /// True once the chain's process has ended, which nobody asked for.
    pub(super) fn chain_ended(&mut self) -> io::Result<bool> {
        Ok(self.chain.ended()?.is_some())
    }

    /// What was done to each provider.
    pub(super) fn deeds(&self) -> Deeds {
        Who::ALL.map(|who| self.providers[who as usize].fault)
    }

    /// Does `fault` to a provider, in place of what was done to it before.
    pub(super) async fn break_(&mut self, who: Who, fault: Fault) -> io::Result<()> {
        self.heal(who).await?;
        let provider = &mut self.providers[who as usize];
        match fault {
            Fault::Freeze => provider.process.signal(Signal::STOP)?,
            Fault::Kill => provider.process.kill()?,
            Fault::Lag => provider.behave(Behaviour::Lag(5)).await?,
            Fault::Lie => provider.behave(Behaviour::Lie).await?,
            Fault::Fail => provider.behave(Behaviour::Error).await?,
            Fault::Slow => provider.behave(Behaviour::Slow(std::time::Duration::from_millis(600))).await?,
        }
        provider.fault = Some(fault);
        Ok(())
    }

    /// Undoes what was done to a provider.
    pub(super) async fn heal(&mut self, who: Who) -> io::Result<()> {
        let provider = &mut self.providers[who as usize];
        match provider.fault.take() {
            None => {}
            Some(Fault::Freeze) => provider.process.signal(Signal::CONT)?,
            Some(Fault::Kill) => {
                provider.process = start_provider(who, provider.at, self.chain_at, &self.log_dir)?
            }
            Some(Fault::Lag | Fault::Lie | Fault::Fail | Fault::Slow) => {
                provider.behave(Behaviour::Honest).await?
            }
        }
        Ok(())
    }
}

fn start_provider(
    who: Who,
    at: SocketAddr,
    chain: SocketAddr,
    log_dir: &std::path::Path,
) -> io::Result<Leashed> {
    let (at, chain) = (at.to_string(), format!("http://{chain}"));
    let args = ["demo", "provider", "--listen", &at, "--to", &chain];
    Leashed::start(
        std::env::current_exe()?.as_os_str(),
        args,
        &log_dir.join(format!("{}.log", who.provider())),
    )
}

impl Provider {
    async fn behave(&self, behaviour: Behaviour) -> io::Result<()> {
        match Rpc::new(self.at).exchange(Method::POST, "/_mode", behaviour.to_string().into()).await {
            Ok((StatusCode::OK, _)) => Ok(()),
            Ok((status, body)) => {
                Err(io::Error::other(format!("{status}: {}", String::from_utf8_lossy(&body).trim())))
            }
            Err(e) => Err(io::Error::other(e)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(deeds: Deeds, fault_to_c: Fault, allowed: bool) {
        assert_eq!(refusal(deeds, Who::C, fault_to_c).is_none(), allowed, "{deeds:?} then {fault_to_c:?}");
    }

    #[test]
    fn one_healthy_provider_is_always_left_and_two_outvote_a_liar() {
        let (frozen, killed, lying) = (Some(Fault::Freeze), Some(Fault::Kill), Some(Fault::Lie));
        check([None; 3], Fault::Kill, true);
        check([frozen, None, None], Fault::Kill, true);
        check([frozen, killed, None], Fault::Slow, false);
        check([frozen, killed, frozen], Fault::Kill, false);
        check([None, None, frozen], Fault::Lie, true);
        check([None; 3], Fault::Lie, true);
        check([frozen, None, None], Fault::Lie, false);
        check([lying, None, None], Fault::Freeze, false);
        check([lying, None, None], Fault::Lag, false);
    }
}
