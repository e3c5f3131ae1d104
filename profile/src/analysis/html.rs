//! The analysis as one page without scripts or anything from elsewhere.

use std::io::{self, Write};

use super::{
    cpu::CpuAnalysis,
    html_sections,
    report::Analysis,
    text::{cpu_line, headline},
};

const STYLE: &str = "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}\
h1{font-size:1.3rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere}\
td.n,th.n{text-align:right;white-space:nowrap}code,pre{font:13px ui-monospace,monospace;background:#f4f4f4}\
pre{padding:.6rem;white-space:pre-wrap;overflow-wrap:anywhere}.bar{background:#d65f50;height:.8rem}\
section{border-left:4px solid #d65f50;padding-left:1rem;margin:1rem 0}\
@media(prefers-color-scheme:dark){body{background:#1b1b1b;color:#ddd}td,th{border-color:#444}code,pre{background:#2a2a2a}}";

/// Writes the analysis as an HTML page.
pub fn write_html(analysis: &Analysis, out: &mut impl Write) -> io::Result<()> {
    let title = escaped(&headline(analysis));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    )?;
    if let Some(cpu) = &analysis.cpu {
        writeln!(out, "<p>{}</p>", escaped(&cpu_line(cpu)))?;
    }
    if !analysis.bottlenecks.is_empty() {
        writeln!(out, "<h2>Bottlenecks</h2>\n<table>")?;
        for it in &analysis.bottlenecks {
            let (what, evidence) = (escaped(&it.what), escaped(&it.evidence));
            write!(out, "<tr><td class=\"n\">{:.1} %</td><td>{what}</td><td>{evidence}", it.weight_percent)?;
            stack(&it.stack, out)?;
            writeln!(out, "</td></tr>")?;
        }
        writeln!(out, "</table>")?;
    }
    advice(analysis, out)?;
    if let Some(cpu) = &analysis.cpu {
        tables(cpu, out)?;
    }
    html_sections::write(analysis, out)?;
    for note in &analysis.notes {
        writeln!(out, "<p>Note: {}</p>", escaped(note))?;
    }
    writeln!(out, "</body></html>")
}

fn advice(analysis: &Analysis, out: &mut impl Write) -> io::Result<()> {
    if analysis.advice.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Advice</h2>")?;
    for it in &analysis.advice {
        writeln!(out, "<section><h3>{}</h3>\n<ul>", escaped(&it.title))?;
        for evidence in &it.evidence {
            writeln!(out, "<li>{}</li>", escaped(evidence))?;
        }
        writeln!(
            out,
            "</ul>\n<p>Gain: {:.1} to {:.1} % of {}. {}</p>\n<p>{}</p>",
            it.gain.percent_low,
            it.gain.percent_high,
            it.gain.of.name(),
            escaped(&it.gain.how),
            escaped(&it.change)
        )?;
        if let Some(directive) = &it.directive {
            writeln!(out, "<pre>{}</pre>", escaped(directive))?;
        }
        stack(&it.stack, out)?;
        writeln!(out, "</section>")?;
    }
    Ok(())
}

/// Folded away: not everybody reads it.
fn stack(stack: &[String], out: &mut impl Write) -> io::Result<()> {
    if stack.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details><summary>Stack</summary><pre>{}</pre></details>", escaped(&stack.join("\n")))
}

fn tables(cpu: &CpuAnalysis, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "<h2>CPU time by what it is for</h2>\n<table>")?;
    for it in &cpu.groups {
        writeln!(
            out,
            "<tr><td class=\"n\">{0:.1} %</td><td>{1}</td><td style=\"width:50%\"><div class=\"bar\" style=\"width:{0:.1}%\">\
             </div></td></tr>",
            it.percent,
            it.group.name()
        )?;
    }
    writeln!(
        out,
        "</table>\n<h2>Functions of 10 % or more</h2>\n<table><tr><th class=\"n\">self</th><th class=\"n\">total</th>\
         <th>function</th><th>module</th></tr>"
    )?;
    for it in &cpu.hotspots {
        writeln!(
            out,
            "<tr><td class=\"n\">{:.2} %</td><td class=\"n\">{:.2} %</td><td><code>{}</code></td><td>{}</td></tr>",
            it.self_percent,
            it.total_percent,
            escaped(&it.name),
            escaped(it.module.as_deref().unwrap_or_default())
        )?;
    }
    writeln!(out, "</table>")
}

/// Names come from other people's binaries.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\n' => safe.push('\n'),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}
