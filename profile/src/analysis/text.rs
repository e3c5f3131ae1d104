//! The analysis for people.

use std::{fmt, io};

use super::{cpu::CpuAnalysis, report::Analysis};
use crate::{
    report_text::{BOLD, GREEN, RESET, TextStyle, YELLOW, cut, printable},
    units::time_text,
};

const MAX_HOTSPOTS: usize = 15;
const MIN_NAME_CHARS: usize = 16;
const BAR_CHARS: usize = 30;

/// Writes the analysis as text.
pub fn write_analysis(analysis: &Analysis, out: &mut impl io::Write, style: TextStyle) -> io::Result<()> {
    write!(out, "{}", Styled { analysis, style })
}

pub(super) struct Styled<'a> {
    pub(super) analysis: &'a Analysis,
    style: TextStyle,
}

impl fmt::Display for Styled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.analysis;
        writeln!(f, "{}", self.paint(BOLD, &printable(&headline(it))))?;
        if let Some(cpu) = &it.cpu {
            writeln!(f, "{}", printable(&cpu_line(cpu)))?;
        }
        self.bottlenecks(f)?;
        self.advice(f)?;
        if let Some(cpu) = &it.cpu {
            self.groups(f, cpu)?;
            self.hotspots(f, cpu)?;
        }
        self.other_sections(f)?;
        it.notes.iter().try_for_each(|note| writeln!(f, "\nnote: {}", printable(note)))
    }
}

/// `nginx: pid 4711 on edge-1, 10.0 s`.
pub(super) fn headline(analysis: &Analysis) -> String {
    let mut line = analysis
        .proxy
        .map_or_else(|| "no proxy that is known here".to_owned(), |proxy| proxy.name().to_owned());
    if !analysis.target.is_empty() {
        line.push_str(&format!(": {}", analysis.target));
    }
    if !analysis.host.is_empty() {
        line.push_str(&format!(" on {}", analysis.host));
    }
    if analysis.duration_ns > 0 {
        line.push_str(&format!(", {}", time_text(analysis.duration_ns)));
    }
    line
}

/// `12345 samples, 87.0 % of a CPU, 63.2 us a request`.
pub(super) fn cpu_line(cpu: &CpuAnalysis) -> String {
    let mut line = format!("{} samples", cpu.samples);
    if let Some(percent) = cpu.cpu_percent {
        line.push_str(&format!(", {percent:.1} % of a CPU"));
    }
    if let Some(ns) = cpu.ns_per_request {
        line.push_str(&format!(", {} a request", time_text(ns as u64)));
    }
    line
}

impl Styled<'_> {
    fn bottlenecks(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.analysis.bottlenecks.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "\n{}",
            self.paint(BOLD, "bottlenecks, by the share of its time that a worker or a request loses")
        )?;
        for it in &self.analysis.bottlenecks {
            let row = format!("{:>6.1} %  {}", it.weight_percent, printable(&it.what));
            writeln!(f, "{}", self.fitted(&row))?;
            writeln!(f, "          {}", printable(&it.evidence))?;
            if !it.stack.is_empty() {
                writeln!(f, "          {}", self.stack(&it.stack, 10))?;
            }
        }
        Ok(())
    }

    fn advice(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_evidence = !self.analysis.bottlenecks.is_empty();
        if self.analysis.advice.is_empty() {
            return if has_evidence {
                writeln!(f, "\nnothing to advise: no setting was seen to cost much")
            } else {
                Ok(())
            };
        }
        for (number, it) in (1..).zip(&self.analysis.advice) {
            writeln!(f, "\n{}", self.paint(BOLD, &format!("{number}. {}", printable(&it.title))))?;
            for evidence in &it.evidence {
                writeln!(f, "   seen    {}", printable(evidence))?;
            }
            if !it.stack.is_empty() {
                writeln!(f, "   stack   {}", self.stack(&it.stack, 11))?;
            }
            writeln!(
                f,
                "   gain    {:.1} to {:.1} % of {}: {}",
                it.gain.percent_low,
                it.gain.percent_high,
                it.gain.of.name(),
                printable(&it.gain.how)
            )?;
            writeln!(f, "   change  {}", printable(&it.change))?;
            if let Some(directive) = &it.directive {
                writeln!(f, "           {}", self.paint(GREEN, directive))?;
            }
        }
        Ok(())
    }

    fn groups(&self, f: &mut fmt::Formatter<'_>, cpu: &CpuAnalysis) -> fmt::Result {
        writeln!(f, "\n{}", self.paint(BOLD, "CPU time by what it is for"))?;
        for it in &cpu.groups {
            let bar =
                "#".repeat(
                    (it.percent / 100.0 * BAR_CHARS as f64).round().clamp(0.0, BAR_CHARS as f64) as usize
                );
            writeln!(f, "{:>6.1} %  {:<19}  {bar}", it.percent, it.group.name())?;
        }
        Ok(())
    }

    fn hotspots(&self, f: &mut fmt::Formatter<'_>, cpu: &CpuAnalysis) -> fmt::Result {
        if cpu.hotspots.is_empty() {
            return writeln!(f, "\nno function took a tenth of the CPU time");
        }
        writeln!(
            f,
            "\n{}",
            self.paint(BOLD, "functions of 10 % or more\n self %  total %  function, module")
        )?;
        for it in cpu.hotspots.iter().take(MAX_HOTSPOTS) {
            let module =
                it.module.as_ref().map(|module| format!("  {}", printable(module))).unwrap_or_default();
            let row = format!(
                "{:>7.2}  {:>7.2}  {}{module}",
                it.self_percent,
                it.total_percent,
                printable(&it.name)
            );
            let row = self.fitted(&row);
            let colour = if it.self_percent >= 10.0 { YELLOW } else { "" };
            writeln!(f, "{}", self.paint(colour, &row))?;
        }
        match cpu.hotspots.len().saturating_sub(MAX_HOTSPOTS) {
            0 => Ok(()),
            n_more => writeln!(f, "         and {n_more} more"),
        }
    }

    pub(super) fn paint(&self, colour: &str, text: &str) -> String {
        if self.style.colour && !colour.is_empty() {
            format!("{colour}{text}{RESET}")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn fitted(&self, text: &str) -> String {
        self.style.width.map_or_else(|| text.to_owned(), |width| cut(text, width.max(MIN_NAME_CHARS)))
    }

    /// Functions, root first, as far as they fit.
    fn stack(&self, stack: &[String], n_used: usize) -> String {
        self.fitted_tail(&printable(&stack.join(" > ")), n_used)
    }

    /// The end of a stack says most.
    fn fitted_tail(&self, text: &str, n_used: usize) -> String {
        let Some(width) = self.style.width else { return text.to_owned() };
        let (room, n_chars) = (width.saturating_sub(n_used).max(MIN_NAME_CHARS), text.chars().count());
        if n_chars <= room {
            return text.to_owned();
        }
        ['…'].into_iter().chain(text.chars().skip(n_chars + 1 - room)).collect()
    }
}
