//! Who is measured: our functions, behind the gateway of the local world with as many processes as they have
//! connections to Postgres; and the servers, one process for each core, with as many connections between them.

use super::ground::Ground;
use super::people::Person;
use super::work::{ADDRESS_HEADER, Work};
use crate::server::{Answered, Line, Said, Server};
use crate::{binaries, machine, peers};
use anyhow::{Context, Result, ensure};
use gateway::{Gateway, GatewayOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// More than there are connections, so that nobody is turned away before the function is asked.
const QUEUE: usize = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Ours,
    Prisma,
    Express,
    FastApi,
}

impl Contender {
    pub const ALL: [Self; 4] = [Self::Ours, Self::Prisma, Self::Express, Self::FastApi];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "Satchel (Rust)",
            Self::Prisma => "Express, Prisma",
            Self::Express => "Express, pg",
            Self::FastApi => "FastAPI, asyncpg",
        }
    }

    fn program(self) -> (PathBuf, PathBuf) {
        let node =
            |directory: &str| ("node".into(), peers::directory(directory).join("express_accounts.mjs"));
        match self {
            Self::FastApi => {
                let python = peers::directory("python");
                (python.join("venv/bin/python"), python.join("fastapi_accounts.py"))
            }
            Self::Prisma => node("prisma"),
            _ => node("node"),
        }
    }
}

/// Processes at work.
pub struct Crew {
    kind: Kind,
    said: Said,
}

enum Kind {
    Functions(Gateway),
    /// They end with the crew.
    Servers(Vec<Server>),
}

/// A connection and who is behind it. Takes one request at a time.
pub struct Seat {
    line: Line,
    pub who: Person,
    pub asked: u64,
}

impl Crew {
    /// With `pool` connections to Postgres, and so ours with as many processes of each function.
    pub async fn start(ground: &Ground, contender: Contender, works: &[Work], pool: u64) -> Result<Self> {
        let said = Said::default();
        if contender == Contender::Ours {
            let mut options = GatewayOptions::new(ground.template_of(works)?, binaries::directory());
            options.max_processes = usize::try_from(pool)?;
            options.queue_limit = QUEUE;
            options.source_ip_from_header = Some(ADDRESS_HEADER.to_owned());
            let log = said.clone();
            options.log = Arc::new(move |_, line| log.push(line));
            let gateway = Gateway::start(options).await?;
            gateway.ready().await?;
            return Ok(Self { kind: Kind::Functions(gateway), said });
        }
        let (program, script) = contender.program();
        let processes = pool.min(machine::cores() as u64);
        let mut servers = Vec::new();
        for process in 0..processes {
            let connections = pool / processes + u64::from(process < pool % processes);
            servers.push(Self::server((&program, &script), ground, connections).await?);
        }
        Ok(Self { kind: Kind::Servers(servers), said })
    }

    async fn server((program, script): (&Path, &Path), ground: &Ground, connections: u64) -> Result<Server> {
        Server::start(program, script, &ground.of_a_server(connections)?).await
    }

    /// One connection for each of these people, in turn to each of the processes that listen.
    pub async fn seats(&self, people: &[Person]) -> Result<Vec<Seat>> {
        let mut seats = Vec::new();
        for (nth, who) in people.iter().enumerate() {
            let line = match &self.kind {
                Kind::Functions(gateway) => Line::to(gateway.address().port(), &self.said).await?,
                Kind::Servers(servers) => servers[nth % servers.len()].line().await?,
            };
            seats.push(Seat { line, who: who.clone(), asked: 0 });
        }
        Ok(seats)
    }

    /// The processes that do this work.
    pub fn pids(&self, work: Work) -> Vec<u32> {
        match &self.kind {
            Kind::Functions(gateway) => gateway.process_ids(work.function()),
            Kind::Servers(servers) => servers.iter().map(|server| server.pid).collect(),
        }
    }

    /// How many processes do this work once all of them are there.
    pub fn most(&self, pool: u64) -> u64 {
        match &self.kind {
            Kind::Functions(_) => pool,
            Kind::Servers(servers) => servers.len() as u64,
        }
    }

    /// Nanoseconds on a CPU so far, of all processes that do this work.
    pub fn cpu_ns(&self, work: Work) -> Result<u64> {
        self.pids(work).into_iter().map(machine::cpu_ns).sum()
    }

    /// The most memory one of them had, and all of them together.
    pub fn peak_memory(&self, work: Work) -> Result<(u64, u64)> {
        let peaks: Result<Vec<u64>> = self.pids(work).into_iter().map(machine::peak_memory).collect();
        let peaks = peaks?;
        Ok((peaks.iter().copied().max().unwrap_or_default(), peaks.iter().sum()))
    }

    pub async fn stop(self) {
        if let Kind::Functions(gateway) = self.kind {
            gateway.stop().await;
        }
    }
}

impl Seat {
    /// From handing the request over to having its answer, which is to be a good one.
    pub async fn ask(&mut self, work: Work) -> Result<Answered> {
        self.asked += 1;
        let answered = self.line.send(work.request(&self.who)?).await?;
        ensure!(answered.status.is_success(), self.line.refused(&answered));
        work.learn(&mut self.who, &answered.body).with_context(|| work.name())?;
        Ok(answered)
    }

    /// Whatever the answer.
    pub async fn send(
        &mut self,
        request: hyper::Request<http_body_util::Full<bytes::Bytes>>,
    ) -> Result<Answered> {
        self.line.send(request).await
    }
}
