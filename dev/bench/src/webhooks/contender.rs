//! Who is measured: our function, one process for each connection, as on Lambda; and the servers, one process for each
//! core, which have as many connections between them.

use super::events::{Delivery, PATH};
use super::ground::Ground;
use crate::server::{Line, Server};
use crate::world::{Runtime, World};
use crate::{machine, peers, single};
use anyhow::{Result, ensure};
use gateway::RuntimeApi;
use http_body_util::Full;
use hyper::Request;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Ours,
    Express,
    FastApi,
}

impl Contender {
    pub const ALL: [Self; 3] = [Self::Ours, Self::Express, Self::FastApi];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "Satchel (Rust)",
            Self::Express => "Express (Node)",
            Self::FastApi => "FastAPI (Python)",
        }
    }

    fn program(self) -> (PathBuf, PathBuf) {
        match self {
            Self::FastApi => {
                let python = peers::directory("python");
                (python.join("venv/bin/python"), python.join("fastapi_webhook.py"))
            }
            _ => ("node".into(), peers::directory("node").join("express_webhook.mjs")),
        }
    }
}

/// What is asked of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The webhook.
    Webhook,
    /// The same request, and nothing done about it: what the runtime or the framework costs.
    Nothing,
}

/// Processes at work, and the lines to them.
pub struct Crew {
    pub lanes: Vec<Lane>,
    pub pids: Vec<u32>,
    /// They end with the crew.
    servers: Vec<Server>,
}

/// Takes one delivery at a time.
pub enum Lane {
    Function(Arc<RuntimeApi>),
    Connection(Line, &'static str),
}

impl Crew {
    /// `clients` deliveries at a time.
    pub async fn start(ground: &Ground, contender: Contender, work: Work, clients: u64) -> Result<Self> {
        let mut crew = Self { lanes: Vec::new(), pids: Vec::new(), servers: Vec::new() };
        if contender == Contender::Ours {
            let environment = ground.of_the_function()?;
            let function = if work == Work::Nothing { "do_nothing" } else { "stripe_webhook" };
            for _ in 0..clients {
                let api = RuntimeApi::start(World::binary(Runtime::Rust, function), &environment).await?;
                crew.pids.push(api.pid());
                crew.lanes.push(Lane::Function(Arc::new(api)));
            }
            return Ok(crew);
        }
        let (program, script) = contender.program();
        let path = if work == Work::Nothing { "/nothing" } else { PATH };
        let processes = clients.min(machine::cores() as u64);
        for process in 0..processes {
            let connections = clients / processes + u64::from(process < clients % processes);
            let server = Server::start(&program, &script, &ground.of_a_server(connections)?).await?;
            crew.pids.push(server.pid);
            for _ in 0..connections {
                crew.lanes.push(Lane::Connection(server.line().await?, path));
            }
            crew.servers.push(server);
        }
        Ok(crew)
    }

    /// Nanoseconds on a CPU so far, of all its processes.
    pub fn cpu_ns(&self) -> Result<u64> {
        self.pids.iter().map(|pid| machine::cpu_ns(*pid)).sum()
    }

    /// The most memory one of them had.
    pub fn peak_memory(&self) -> Result<u64> {
        let peaks: Result<Vec<u64>> = self.pids.iter().map(|pid| machine::peak_memory(*pid)).collect();
        Ok(peaks?.into_iter().max().unwrap_or_default())
    }

    pub async fn stop(self) {
        drop(self.servers);
        for lane in self.lanes {
            if let Lane::Function(api) = lane {
                api.kill().await;
            }
        }
    }
}

impl Lane {
    /// From handing it over to having the answer, which is to be 200.
    pub async fn send(&mut self, delivery: &Delivery) -> Result<Duration> {
        match self {
            Self::Function(api) => single::invoke(api, delivery.event.clone()).await,
            Self::Connection(line, path) => {
                let request = Request::post(*path)
                    .header("host", "api.example.com")
                    .header("content-type", "application/json; charset=utf-8")
                    .header("stripe-signature", &delivery.signature)
                    .body(Full::new(delivery.body.clone()))?;
                let answered = line.send(request).await?;
                ensure!(answered.status.is_success(), line.refused(&answered));
                Ok(answered.elapsed)
            }
        }
    }
}
