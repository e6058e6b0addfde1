//! [`Gateway`]: a template's functions behind one HTTP port.

use crate::{
    LogSink,
    failure::Failure,
    front::Front,
    lambda::{Lambda, Spec},
    route::Table,
    runtime_api::{self, Lambdas},
    schedule::Schedule,
    server::{self, Running},
    template::{Function, Template},
};
use anyhow::{Context, bail};
use bytes::Bytes;
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc};
use tokio::task::JoinSet;

/// What a gateway runs, and how. Begin with [`GatewayOptions::new`] and set what differs.
#[derive(Clone)]
pub struct GatewayOptions {
    pub template: Template,
    /// Where the functions' binaries lie, as `target/debug`.
    pub binaries: PathBuf,
    /// 0 takes a free one.
    pub port: u16,
    /// Goes before the template's environment, in every function.
    pub environment: BTreeMap<String, String>,
    /// Goes before all else, by function.
    pub function_environment: BTreeMap<String, BTreeMap<String, String>>,
    /// How many processes of one function may run; the template's reserved concurrency lowers it.
    pub max_processes: usize,
    /// How many events of one function may wait; the next one is throttled.
    pub queue_limit: usize,
    /// Where each line a function writes goes, and what the gateway has to say about it.
    pub log: LogSink,
    /// Whether the template's rates are run.
    pub run_schedules: bool,
    /// Takes `sourceIp` from this request header when it is there, so that a load test can play many addresses.
    pub source_ip_from_header: Option<String>,
}

impl GatewayOptions {
    pub fn new(template: Template, binaries: impl Into<PathBuf>) -> Self {
        Self {
            template,
            binaries: binaries.into(),
            port: 0,
            environment: BTreeMap::new(),
            function_environment: BTreeMap::new(),
            max_processes: 4,
            queue_limit: 1000,
            log: Arc::new(|function, line| eprintln!("{function}: {line}")),
            run_schedules: false,
            source_ip_from_header: None,
        }
    }

    fn spec(&self, function: &Function, runtime_api: SocketAddr) -> Spec {
        let mut environment = function.environment.clone();
        let own = self.function_environment.get(&function.name);
        environment.extend(
            self.environment.iter().chain(own.into_iter().flatten()).map(|(k, v)| (k.clone(), v.clone())),
        );
        Spec {
            name: function.name.clone(),
            binary: self.binaries.join(&function.binary),
            environment,
            timeout: function.timeout,
            memory_mb: function.memory_mb,
            max_processes: function.reserved_concurrency.unwrap_or(usize::MAX).min(self.max_processes).max(1),
            queue_limit: self.queue_limit,
            restart: true,
            runtime_api,
        }
    }
}

/// A running gateway. Dropping it kills every process it started; [`Gateway::stop`] also waits for them.
pub struct Gateway {
    address: SocketAddr,
    lambdas: Arc<Lambdas>,
    /// The names of the functions that have a route.
    routed: Vec<String>,
    schedules: BTreeMap<String, Vec<Schedule>>,
    _servers: [Running; 2],
    _clock: JoinSet<()>,
}

impl Gateway {
    /// Serves the template on 127.0.0.1, with one process of each function that has a route on its way.
    pub async fn start(options: GatewayOptions) -> anyhow::Result<Self> {
        let (front_listener, address) =
            server::listen(options.port).await.with_context(|| format!("the port {}", options.port))?;
        let (runtime_listener, runtime_address) = server::listen(0).await?;
        let (mut lambdas, mut routes, mut with_route, mut schedules) =
            (Lambdas::new(), vec![], vec![], BTreeMap::new());
        for function in &options.template.functions {
            let lambda = Lambda::new(options.spec(function, runtime_address), Arc::clone(&options.log));
            routes.extend(function.routes.iter().map(|route| (route.clone(), Arc::clone(&lambda))));
            if !function.routes.is_empty() {
                with_route.push(function.name.clone());
            }
            schedules.insert(function.name.clone(), function.schedules.clone());
            lambdas.insert(function.name.clone(), lambda);
        }
        let lambdas = Arc::new(lambdas);
        let front = Arc::new(Front {
            port: address.port(),
            routes: Table::new(routes.into_iter()),
            cors: options.template.cors.clone(),
            lambdas: Arc::clone(&lambdas),
            source_ip_from_header: options.source_ip_from_header.clone(),
        });
        let servers = [
            runtime_api::serve(runtime_listener, Arc::clone(&lambdas)),
            server::serve(front_listener, move |request, peer| {
                let front = Arc::clone(&front);
                async move { front.handle(request, peer).await }
            }),
        ];
        for lambda in with_route.iter().filter_map(|name| lambdas.get(name)) {
            lambda.warm();
        }
        let clock = if options.run_schedules { run(&lambdas, &schedules) } else { JoinSet::new() };
        Ok(Self { address, lambdas, routed: with_route, schedules, _servers: servers, _clock: clock })
    }

    /// As in `http://127.0.0.1:9000`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until every function with a route has asked for its first event; else says which did not, and why.
    pub async fn ready(&self) -> anyhow::Result<()> {
        let mut failures = Vec::new();
        for name in &self.routed {
            if let Err(reason) = self.lambda(name)?.ready().await {
                failures.push(format!("{name}: {reason}"));
            }
        }
        if failures.is_empty() { Ok(()) } else { bail!("functions did not start\n{}", failures.join("\n")) }
    }

    /// Sends an event to a function by its name.
    pub async fn invoke(&self, function: &str, event: impl Into<Bytes>) -> anyhow::Result<Bytes> {
        let outcome = self.lambda(function)?.invoke(event.into()).await;
        outcome.map_err(|failure: Failure| anyhow::anyhow!("{function}: {}", failure.describe()))
    }

    /// Sends a function what its (first) schedule would, now.
    pub async fn run_schedule(&self, function: &str) -> anyhow::Result<Bytes> {
        let schedule = self.schedules.get(function).and_then(|schedules| schedules.first());
        let event = schedule.with_context(|| format!("{function} has no schedule"))?.event();
        self.invoke(function, event).await
    }

    /// The processes of a function that run now.
    pub fn process_ids(&self, function: &str) -> Vec<u32> {
        let ids = |lambda: &Arc<Lambda>| lambda.state().workers.values().map(|worker| worker.pid).collect();
        self.lambdas.get(function).map(ids).unwrap_or_default()
    }

    /// Kills (SIGKILL) the process of a function that is serving, else any; returns when it is gone.
    pub async fn kill(&self, function: &str) -> anyhow::Result<u32> {
        self.lambda(function)?.kill().await.with_context(|| format!("no process of {function} runs"))
    }

    /// Kills every process and waits until all are gone.
    pub async fn stop(self) {
        for lambda in self.lambdas.values() {
            lambda.begin_stop();
        }
        for lambda in self.lambdas.values() {
            lambda.stop().await;
        }
    }

    fn lambda(&self, name: &str) -> anyhow::Result<&Arc<Lambda>> {
        self.lambdas.get(name).with_context(|| format!("there is no function {name}"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for lambda in self.lambdas.values() {
            lambda.begin_stop();
        }
    }
}

/// Every rate on a task of its own. The first event comes after one period.
fn run(lambdas: &Lambdas, schedules: &BTreeMap<String, Vec<Schedule>>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (name, lambda) in lambdas {
        for schedule in schedules.get(name).into_iter().flatten().filter(|schedule| schedule.enabled) {
            let Some(every) = schedule.every else { continue };
            let (lambda, schedule) = (Arc::clone(lambda), schedule.clone());
            tasks.spawn(async move {
                loop {
                    tokio::time::sleep(every).await;
                    if let Err(failure) = lambda.invoke(schedule.event().into()).await {
                        lambda.say(&format!("gateway: {} in {}", failure.describe(), schedule.expression));
                    }
                }
            });
        }
    }
    tasks
}
