//! Somebody whom webhooks are sent to: answers what it is told to, and keeps what came.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http_body_util::{BodyExt, Empty};
use hyper::{
    HeaderMap, Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

#[derive(Clone)]
pub struct Received {
    pub headers: HeaderMap,
    pub body: Bytes,
    pub at: Instant,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap_or_default().to_owned()
    }
}

#[derive(Clone, Default)]
pub struct Receiver {
    pub url: String,
    received: Arc<Mutex<Vec<Received>>>,
    /// One status each; 200 when there is none left, and no answer at all for 0.
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let receiver = Self { url, ..Self::default() };
        let shared = receiver.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| shared.clone().take(request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(receiver)
    }

    pub fn answer(&self, statuses: &[u16]) {
        held(&self.answers).extend(statuses);
    }

    async fn take(self, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, hyper::Error> {
        let headers = request.headers().clone();
        let body = request.into_body().collect().await?.to_bytes();
        held(&self.received).push(Received { headers, body, at: Instant::now() });
        let status = held(&self.answers).pop_front().unwrap_or(200);
        if status == 0 {
            match std::future::pending::<Infallible>().await {}
        }
        let mut response = Response::new(Empty::new());
        *response.status_mut() = status.try_into().unwrap_or_default();
        Ok(response)
    }

    pub fn all(&self) -> Vec<Received> {
        held(&self.received).clone()
    }

    pub fn kinds(&self) -> Vec<String> {
        self.all().iter().map(Received::kind).collect()
    }

    /// Waits for so many in all, and a moment longer for one too many.
    pub async fn wait_for(&self, count: usize) -> anyhow::Result<Vec<Received>> {
        let enough = async {
            while self.all().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let timely = tokio::time::timeout(Duration::from_secs(20), enough).await;
        anyhow::ensure!(timely.is_ok(), "{} of {count} came: {:?}", self.all().len(), self.kinds());
        tokio::time::sleep(Duration::from_millis(60)).await;
        let all = self.all();
        anyhow::ensure!(all.len() == count, "{} came instead of {count}: {:?}", all.len(), self.kinds());
        Ok(all)
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
