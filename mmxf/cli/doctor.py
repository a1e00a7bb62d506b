"""Is this installation sound? One line a part, and for each problem the one command that mends it."""

import argparse
import json
import sys

from ._errors import user_errors

SUMMARY = 'Check the installation and the machine; for each problem, the command that mends it'
MARKS = {'ok': 'ok', 'note': '--', 'warning': '!', 'problem': 'XX'}


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=SUMMARY, epilog='Exit status: 0 without problems (warnings count as none), 1 with problems.')
    parser.add_argument('--json', action='store_true', help='print the findings and times as JSON')
    parser.add_argument('--no-self-test', action='store_true', help='do not run the ops (saves some seconds)')
    return parser.parse_args(argv)


@user_errors
def main(argv=None) -> int:
    args = parse_args(argv)
    from ._doctor_checks import BLAMING, CHECKS, Finding, for_this_python, self_test

    say = (lambda text: None) if args.json else (lambda text: print(text, flush=True))
    findings, rows = [], []

    def add(new) -> None:
        for finding in new:
            finding.command = finding.command and for_this_python(finding.command)
            findings.append(finding)
            say(f'{MARKS[finding.status]:>2}  {finding.check:<13} {finding.text}')
            if finding.command and finding.status in ('problem', 'warning'):
                say(f'{"":>17} mend: {finding.command}')

    def found(*checks: str) -> bool:
        return any(f.status == 'problem' and f.check in checks for f in findings)

    for check in CHECKS:
        if found(*BLAMING.get(check, ())):
            add([Finding(check.__name__, 'note', 'not looked at before the problems above are mended')])
            continue
        try:
            add(check())
        except Exception as error:  # a check that fails is a finding, not the end of the others
            add([Finding(check.__name__, 'warning', f'could not be checked: {type(error).__name__}: {error}')])
    if not args.no_self_test and not found(*BLAMING[self_test]):
        devices = ['cpu'] + (['cuda'] if any(f.check == 'gpu' and f.status == 'ok' for f in findings) else [])
        for device in devices:
            results, times = self_test(device)
            rows += times
            for row in times:
                say(f'    {row["op"]:<30} {device:<5} ' + (f'{row["milliseconds"]:>8.2f} ms' if 'milliseconds' in row else
                                                          '  failed') + (f'   error {row["error"]:.0e}' if row.get('error')
                                                                         else ''))
            add(results)
    problems = sum(f.status == 'problem' for f in findings)
    if args.json:
        json.dump(dict(problems=problems, findings=[f.as_dict() for f in findings], self_test=rows), sys.stdout, indent=1)
        print()
    say('\nNothing to mend.' if not problems else f'\n{problems} problem{"s" if problems > 1 else ""}.')
    return 1 if problems else 0
