//! `$default` — what no route takes, answered in the one error form.

use shared::config::Config;
use shared::http::{ApiError, ErrorCode, HeaderValue, Reply, Request, header};

/// The routes of this deployment, as the template hands them over: `GET /v1/health, POST /v1/nodes, …`.
pub struct Deps {
    routes: Vec<(String, Vec<String>)>,
}

impl Deps {
    pub fn wire(config: &mut Config) -> Self {
        let routes = config.text("ROUTES");
        let parse = |route: &str| {
            let (method, path) = route.trim().split_once(' ').filter(|(_, path)| path.starts_with('/'))?;
            Some((method.to_owned(), path.split('/').map(ToOwned::to_owned).collect()))
        };
        let parsed: Option<Vec<_>> = routes.split(',').map(parse).collect();
        if parsed.is_none() && !routes.is_empty() {
            config.problem("ROUTES is not a list of routes such as GET /v1/health");
        }
        Self { routes: parsed.unwrap_or_default() }
    }

    /// The methods the path takes; none when there is no such path.
    fn methods(&self, path: &str) -> Vec<&str> {
        let asked: Vec<&str> = path.split('/').collect();
        let matches = |pattern: &[String]| {
            pattern.len() == asked.len()
                && pattern
                    .iter()
                    .zip(&asked)
                    .all(|(part, asked)| part == asked || (part.starts_with('{') && !asked.is_empty()))
        };
        self.routes.iter().filter(|(_, path)| matches(path)).map(|(method, _)| method.as_str()).collect()
    }
}

pub async fn handle(deps: &Deps, request: &Request) -> Result<Reply, ApiError> {
    let methods = deps.methods(&request.path);
    // The gateway compares a path before it decodes it: what is here only reads like the path of that route.
    if methods.is_empty() || methods.contains(&request.method.as_str()) {
        return Err(ApiError::new(ErrorCode::NotFound, "there is no such path"));
    }
    let allow = HeaderValue::try_from(methods.join(", ")).map_err(ApiError::internal)?;
    Err(ApiError::new(ErrorCode::MethodNotAllowed, "this path does not take this method")
        .with_header(header::ALLOW, allow))
}
