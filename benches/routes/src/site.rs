//! A plain web site's log: pages that are words, and pages that are values.

use crate::random::{Random, Zipf, mix};
use crate::run::Product;
use crate::values::name_of;

const REQUESTS: usize = 200_000;

/// Prints how many requests to pages that stand for themselves ended under a parameter.
pub(crate) fn report() {
    let mut random = Random(11);
    let pages: Vec<String> = pages();
    let popularity = Zipf::new(pages.len(), 0.8);
    let posts = Zipf::new(600, 0.8);
    let mut product = Product::default();
    let (mut wrong, mut all) = (0_u64, 0_u64);
    let mut asked: Vec<(String, bool)> = Vec::new();
    for request in 0..REQUESTS {
        let (path, template, status) = match random.below(20) {
            0 => (format!("/{:x}", random.next()), None, 404),
            // What stands for each product alike is a parameter.
            9 => {
                let product = ["analytics", "gateway", "monitoring", "tracing", "alerting", "profiler"]
                    [random.below(6)];
                let page = ["", "/features", "/pricing", "/demo"][random.below(4)];
                (format!("/products/{product}{page}"), Some("/products/{product}"), 200)
            }
            1..=5 => {
                let post = mix(posts.draw(&mut random) as u64);
                (format!("/blog/{}-{}", name_of(post), name_of(mix(post))), Some("/blog/{slug}"), 200)
            }
            6 => (format!("/tag/{}", name_of(mix(random.below(200) as u64))), Some("/tag/{tag}"), 200),
            7 => (
                format!("/static/app.{:08x}.js", mix(random.below(6) as u64) as u32),
                Some("/static/{hash}.js"),
                200,
            ),
            8 => (
                format!("/images/{}.png", name_of(mix(random.below(300) as u64))),
                Some("/images/{name}.png"),
                200,
            ),
            _ => (pages[popularity.draw(&mut random)].clone(), Some("page"), 200),
        };
        product.take(request, "GET", &path, status, template);
        if template == Some("page") {
            asked.push((path, true));
        }
    }
    let patterns = product.learner.patterns();
    let mut out = String::new();
    let mut lost = std::collections::BTreeMap::<String, u64>::new();
    for (path, _) in &asked {
        patterns.route(path.as_bytes(), &mut out);
        all += 1;
        if out.contains('{') {
            wrong += 1;
            *lost.entry(format!("{path} -> {out}")).or_default() += 1;
        }
    }
    println!(
        "| web site | {} pages | | {:.1} % of the requests to pages merged wrongly | | {} | |",
        pages.len(),
        wrong as f64 / all as f64 * 100.0,
        product.rows()
    );
    if std::env::var_os("BENCH_ROUTES_DETAILS").is_some() {
        for (path, requests) in lost.iter().take(60) {
            println!("    {requests:6} {path}");
        }
        println!("{}", patterns.write());
    }
}

/// Pages of a company's site, its shop and its manual.
fn pages() -> Vec<String> {
    let top = [
        "",
        "about",
        "team",
        "jobs",
        "contact",
        "imprint",
        "privacy",
        "terms",
        "pricing",
        "press",
        "partners",
        "support",
        "faq",
        "login",
        "register",
        "cart",
        "checkout",
        "search",
        "newsletter",
        "sitemap.xml",
        "robots.txt",
        "favicon.ico",
        "feed",
        "blog",
        "docs",
        "security",
        "status",
        "events",
        "customers",
        "products",
        "solutions",
        "download",
        "changelog",
        "community",
    ];
    let manual = [
        "introduction",
        "installation",
        "quickstart",
        "configuration",
        "authentication",
        "authorization",
        "users",
        "groups",
        "roles",
        "permissions",
        "projects",
        "environments",
        "deployments",
        "builds",
        "logs",
        "metrics",
        "alerts",
        "dashboards",
        "billing",
        "invoices",
        "limits",
        "quotas",
        "webhooks",
        "api",
        "cli",
        "sdk",
        "terraform",
        "kubernetes",
        "docker",
        "networking",
        "dns",
        "certificates",
        "storage",
        "backups",
        "databases",
        "caching",
        "queues",
        "migration",
        "upgrading",
        "troubleshooting",
        "glossary",
        "faq",
    ];
    let mut pages: Vec<String> = top.iter().map(|page| format!("/{page}")).collect();
    pages.extend(manual.iter().map(|page| format!("/docs/{page}")));
    pages.extend(["go", "java", "python", "rust", "node", "php", "ruby", "dotnet"].iter().flat_map(
        |language| {
            ["install", "quickstart", "reference", "examples", "changelog"]
                .map(|page| format!("/docs/sdk/{language}/{page}"))
        },
    ));
    pages.extend(["main.css", "print.css", "app.js", "logo.svg"].map(|file| format!("/static/{file}")));
    pages
}
