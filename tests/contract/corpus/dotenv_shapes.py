"""Env files as people have them: for Compose, Rails, Laravel, Next.js, Django, direnv, systemd, Node and shells."""

from __future__ import annotations

from tests.contract.corpus.shape import THEIRS, Shape

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIBszCCAVmgAwIBAgIU\nqk0xEzARBgNVBAMMCg==\n-----END CERTIFICATE-----"
COMMENT = "takes the comment for the value"
SPACED = {"bash": "takes KEY = for a command"}
KEY = "FEATUREBASE_WEBHOOK_SECRET"

EDITED = [
    Shape(
        "compose.env", f"# services\nPOSTGRES_USER=app\nPOSTGRES_PASSWORD=s3cr3t\n\n{KEY}=<old>\nTZ=Europe/Tallinn\n"
    ),
    Shape("rails/.env", f"export RAILS_ENV=production\nexport {KEY}='<old>'\nexport RAILS_MAX_THREADS=5\n"),
    Shape(
        "laravel/.env",
        'APP_NAME="Feedback Portal"\nAPP_KEY=base64:aGVsbG8gd29ybGQ=\n'
        'APP_DEBUG=false\nMAIL_FROM_NAME="${APP_NAME}"\n\n'
        f'{KEY}="<old>"\nDB_PASSWORD=\n',
    ),
    Shape(
        "next/.env.local", f"NEXT_PUBLIC_URL=https://feedback.example\n{KEY}=<old>   \n\nNEXT_TELEMETRY_DISABLED=1\n"
    ),
    Shape("vite/.env.production", f"VITE_API=/api\n{KEY}=<old> # signs deliveries\nVITE_TITLE='Feedback'\n"),
    Shape(
        "django/.env",
        f"DEBUG=off\nDATABASE_URL=postgres://u:p@db:5432/app?sslmode=require\n{KEY}=<old>\nALLOWED_HOSTS=a,b\n",
    ),
    Shape(
        "direnv/.envrc",
        f'source_up\nuse flake\nexport PATH_EXTRA="$PWD/bin"\nexport {KEY}="<old>"  # from the vault\nPATH_add bin\n',
        blind={"compose": "knows no commands"},
    ),
    Shape("systemd/app.env", f'# /etc/default/feedback\nJAVA_OPTS="-Xmx512m -Dfile.encoding=UTF-8"\n{KEY}="<old>"\n'),
    Shape("docker-run.env", f"PORT=8080\n{KEY}=<old>\nFEATURES=a,b,c\nEMPTY=\n"),
    Shape("pass-through.env", f"A=1\n{KEY}=<old>\nHTTP_PROXY\n"),
    Shape("windows.env", f"A=1\r\n{KEY}=<old>\r\n\r\nB=2\r\n", blind={"bash": "reads the carriage returns"}),
    Shape("windows-quoted.env", f'A="1 2"\r\n{KEY}="<old>"\r\nB=2', blind={"bash": "reads the carriage returns"}),
    Shape("no-final-newline.env", f"A=1\n{KEY}=<old>"),
    Shape("alone.env", f"{KEY}=<old>"),
    Shape("bom.env", f"\ufeff# made on Windows\nA=1\n{KEY}=<old>\n"),
    Shape("certificate.env", f'TLS_CERT="{CERTIFICATE}"\n{KEY}="<old>"\nTLS_CA="{CERTIFICATE}"\n'),
    Shape("certificate-single.env", f"TLS_CERT='{CERTIFICATE}'\n\n{KEY}=<old>\n"),
    Shape("certificate-last.env", f'{KEY}=<old>\nTLS_CERT="{CERTIFICATE}"'),
    Shape("comments.env", f"#A=1\n#  {KEY}=<before>\n\n## ours\n{KEY}=<old>\n# isn't used: B=2\n"),
    Shape("inline-comments.env", f"A=1 # it's one\n{KEY}='<old>' # it's ours\nB=2\t# two\n"),
    Shape("empty-value.env", f"A=1\n{KEY}=\nB=2\n"),
    Shape("empty-quotes.env", f'A=1\nexport {KEY}=""\nB=2\n'),
    Shape("blank-value.env", f"A=1\n{KEY}=  # to be set\nB=2\n", blind={"node": COMMENT, "compose": COMMENT}),
    Shape("missing.env", "# app\nA=1\nB='two words'\n"),
    Shape("missing-windows.env", "A=1\r\nB=2", blind={"bash": "reads the carriage returns"}),
    Shape("empty.env", ""),
    Shape("only-comments.env", "# nothing here yet\n\n"),
    Shape("both.env", f"{KEY}=<old>\n{KEY}_PREVIOUS=<before>\nA=1\n"),
    Shape("previous-first.env", f"export {KEY}_PREVIOUS='<before>' # until tomorrow\nA=1\nexport {KEY}='<old>'\n"),
    Shape("previous-last.env", f"{KEY}=<old>\nA=1\n{KEY}_PREVIOUS=<before>"),
    Shape("unicode.env", f"GREETING='Tere, maailm! ☀'\n{KEY}=<old>\nNIMI=Õie\n"),
    Shape("twice-alike.env", f"{KEY}=<old>\nA=1\nexport {KEY}='<old>'\n"),
    Shape("json-values.env", 'FLAGS=\'{"a": [1, 2], "b": "x"}\'\n' + f"{KEY}=<old>\nMAP='{{\"k\": null}}'\n"),
    Shape("equals-and-hashes.env", f"A=b=c==\nURL='https://x.example/#/login?next=%2F'\n{KEY}=<old>\nB=a#b\n"),
    Shape("interpolation.env", f"BASE=/srv\nDATA=${{BASE}}/data\nTOKEN=${{{KEY}}}\n{KEY}=<old>\nMORE=$BASE/more\n"),
    Shape("dollars.env", f"PASSWORD='pa$$w0rd'\n{KEY}=<old>\nPRICE='5$'\n"),
    Shape("windows-paths.env", f"DIR='C:\\Users\\app'\n{KEY}=<old>\nOTHER='D:\\x'\n"),
    Shape("spaced.env", f'A = 1\n{KEY} = "<old>"\nB = 2\n', blind=SPACED),
    Shape("indented.env", f"  A=1\n  {KEY}=<old>\n  B=2\n"),
    Shape("one-crlf-line.env", f"A=1\nB=2\r\nC=3\n{KEY}=<old>\n"),
    Shape(
        "symfony/.env",
        f"###> symfony/framework-bundle ###\nAPP_ENV=prod\n###< symfony/framework-bundle ###\n\n{KEY}=<old>\n",
    ),
    Shape(
        "lower-case.env",
        "app_name=feedback\nfeaturebase_secret=<old>\n",
        ("featurebase_secret",),
        ("featurebase_secret_old",),
    ),
    Shape("similar-names.env", f"MY_{KEY}=a\n{KEY}S=b\n{KEY}_ID=c\n{KEY}=<old>\n"),
    Shape("two-hundred.env", "".join(f"VARIABLE_{n}=value-{n}\n" for n in range(200)) + f"{KEY}=<old>\n" + "LAST=1\n"),
    Shape("words.env", f'TITLE="It\'s the \\"best\\""\n{KEY}=<old>\nSUB=\'say "hi"\'\n'),
    Shape("backslash-before-blank.env", "A=1\\\n\n"),
]

REFUSED = [
    Shape("bare-export.env", f"{KEY}={THEIRS}\nexport {KEY}\n", refused=f"lines 1 and 2 define {KEY} differently"),
    Shape("emptied-later.env", f"{KEY}={THEIRS}\nA=1\n{KEY}=\n", refused=f"lines 1 and 3 define {KEY} differently"),
    Shape("two-values.env", f"{KEY}={THEIRS}\nA=1\n{KEY}=<old>\n", refused=f"lines 1 and 3 define {KEY} differently"),
    Shape(
        "two-previous.env", f"{KEY}=<old>\n{KEY}_PREVIOUS={THEIRS}\n{KEY}_PREVIOUS=\n", refused="lines 2 and 3 define"
    ),
    Shape("readonly.env", f"# x\nreadonly {KEY}={THEIRS}\n", refused=f"line 2 has {KEY} in a way"),
    Shape("and-export.env", f"{KEY}={THEIRS}; export {KEY}\n", refused=f"line 1 has {KEY} in a way"),
    Shape("quoted-and-export.env", f"{KEY}='{THEIRS}'; export {KEY}\n", refused=f"line 1 has {KEY} in a way"),
    Shape("declare.env", f"A=1\ndeclare -x {KEY}={THEIRS}\n", refused=f"line 2 has {KEY} in a way"),
    Shape("two-in-a-line.env", f"export A=1 {KEY}={THEIRS}\n", refused=f"line 1 has {KEY} in a way"),
    Shape("colon.env", f"A=1\n{KEY}: {THEIRS}\n", refused=f"line 2 has {KEY} in a way"),
    Shape("appended.env", f"{KEY}+={THEIRS}\n", refused=f"line 1 has {KEY} in a way"),
    Shape("unset.env", f"{KEY}={THEIRS}\nunset {KEY}\n", refused=f"line 2 has {KEY} in a way"),
    Shape("in-a-block.env", f'BLOCK="a\n{KEY}={THEIRS}\n"\n', refused=f"line 1 has {KEY} in a way"),
    Shape("after-a-backslash.env", f"A=1\\\n{KEY}={THEIRS}\n", refused="part of what begins on line 1"),
    Shape("ends-in-a-backslash.env", f"{KEY}={THEIRS}\\\nA=1\n", refused="shells read the next line as part of it"),
    Shape("last-backslash.env", f"A={THEIRS}\\", refused="line 1 ends in a backslash"),
    Shape("last-backslash-newline.env", f"B=1\nA={THEIRS}\\\n", refused="line 2 ends in a backslash"),
    Shape("apostrophes.env", f"A=it's\n{KEY}={THEIRS}\nB=it's\n", refused="line 2 defines"),
    Shape("backticks.env", f"A=`x\n{KEY}={THEIRS}\ny`\n", refused="part of what begins on line 1"),
    Shape("our-line-crlf.env", f"A=1\n{KEY}={THEIRS}\r\nB=2\n", refused="line 2 defines"),
    Shape("carriage-returns.env", f"A=1\r{KEY}={THEIRS}\r", refused="line 1 has a carriage return"),
    Shape("open-quotes.env", f'A=1\n{KEY}="{THEIRS}\n', refused=f"line 2 has {KEY} in a way"),
    Shape("binary.env", f"A=\0{THEIRS}\n", refused="binary data"),
]
