<#
.SYNOPSIS
    What a public name has in IIS, and what it answers to a client on this machine.
#>
Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'

# The head of an answer and what follows it within five seconds, as text. TLS says in the first line what it thinks.
function Get-Answer {
    param([string]$PublicName, [int]$Port, [string]$Path, [string[]]$Headers)

    $client = New-Object -TypeName System.Net.Sockets.TcpClient -ArgumentList '127.0.0.1', $Port
    try {
        $stream = $client.GetStream()
        $script:trust = 'None'
        if ($Port -eq 443) {
            $remember = {
                param($from, $certificate, $chain, $problems)
                $script:trust = [string]$problems
                return $true
            }
            $stream = New-Object -TypeName System.Net.Security.SslStream -ArgumentList $stream, $false, $remember
            $stream.AuthenticateAsClient($PublicName)
        }
        $stream.ReadTimeout = 5000
        $lines = @("GET $Path HTTP/1.1", "Host: $PublicName") + $Headers + @('', '')
        $bytes = [System.Text.Encoding]::ASCII.GetBytes(($lines -join "`r`n"))
        $stream.Write($bytes, 0, $bytes.Length)
        $text = ''
        $buffer = New-Object -TypeName byte[] -ArgumentList 65536
        try {
            do {
                $count = $stream.Read($buffer, 0, $buffer.Length)
                $text += [System.Text.Encoding]::GetEncoding(28591).GetString($buffer, 0, $count)
            } while ($count -gt 0)
        }
        catch [System.IO.IOException] {
            $text += "`r`n(still open after 5 s)"
        }
        return $text
    }
    finally {
        $client.Close()
    }
}

function Get-Status {
    param([string]$PublicName, [int]$Port, [string]$Path, [string[]]$Headers = @('Connection: close'))

    return ((Get-Answer -PublicName $PublicName -Port $Port -Path $Path -Headers $Headers) -split "`r`n")[0]
}

function Get-SiteResult {
    param([string]$PublicName)

    $manager = Get-IISServerManager
    $site = $manager.Sites[$PublicName]
    if ($null -eq $site) {
        ConvertTo-Result -Part 'site' -Check $PublicName -Found 'no such site' -Expected 'a site' -Outcome 'fail'
        return
    }
    $pool = $manager.ApplicationPools[$site.Applications['/'].ApplicationPoolName]
    Compare-Result -Part 'pool' -Check "${PublicName}: managed code" -Found "'$($pool.ManagedRuntimeVersion)'" `
        -Expected 'none' -Pattern "^''$"
    Compare-Result -Part 'pool' -Check "${PublicName}: startMode" -Found $pool['startMode'] `
        -Expected '1 (AlwaysRunning)' -Pattern '^(1|AlwaysRunning)$'
    Compare-Result -Part 'pool' -Check "${PublicName}: idleTimeout" -Found $pool.ProcessModel.IdleTimeout `
        -Expected '00:00:00' -Pattern '^00:00:00$'
    Compare-Result -Part 'pool' -Check "${PublicName}: periodicRestart" -Expected '00:00:00' `
        -Found $pool.Recycling.PeriodicRestart.Time -Pattern '^00:00:00$'
    Compare-Result -Part 'trap 12' -Check "${PublicName}: hsts" -Expected 'True' `
        -Found ($site.GetChildElement('hsts')['enabled']) -Pattern 'True'
    $logged = [string]$site.LogFile.LogExtFileFlags
    Compare-Result -Part 'trap 16' -Check "${PublicName}: log fields" -Found $logged `
        -Expected 'neither UriQuery nor Referer' -Pattern '^((?!UriQuery|Referer).)*$'
    $bound = @($site.Bindings | Where-Object { $_.Protocol -eq 'https' -and $_.Host -eq $PublicName })
    Compare-Result -Part 'site' -Check "${PublicName}: HTTPS with SNI" -Expected 'Sni' `
        -Found (@($bound | ForEach-Object { $_.SslFlags }) -join ' ') -Pattern 'Sni'
}

function Get-AnswerResult {
    param([string]$PublicName)

    $answer = Get-Answer -PublicName $PublicName -Port 443 -Path '/' -Headers @('Connection: close')
    $head, $body = $answer -split "`r`n`r`n", 2
    $status = ($head -split "`r`n")[0]
    ConvertTo-Result -Part 'certificate' -Check "${PublicName}: trusted by this machine" -Found $script:trust `
        -Expected 'None (no problem)' -Outcome $(if ($script:trust -eq 'None') { 'pass' } else { 'fail' })
    Compare-Result -Part 'answer' -Check "${PublicName}: something answers behind IIS" -Found $status `
        -Expected '200, 302, 401 or 503' -Pattern ' (200|302|401|503) '
    $empty = 'not applicable'
    if ($status -match ' 502 ') {
        $empty = $(if ($body.Trim()) { 'fail' } else { 'pass' })
    }
    ConvertTo-Result -Part 'to confirm' -Check "${PublicName}: a 502 of ARR's own has no body" -Found $status `
        -Expected 'seen only while the edge is down' -Outcome $empty
    Compare-Result -Part 'answer' -Check "${PublicName}: nothing names what serves" -Found $head `
        -Expected 'no Server, no X-Powered-By' -Pattern '(?is)^((?!\n(Server|X-Powered-By):).)*$'
    Compare-Result -Part 'trap 12' -Check "${PublicName}: HSTS is sent" -Found $head `
        -Expected 'Strict-Transport-Security' -Pattern '(?i)\nStrict-Transport-Security: max-age=\d+'
    $plain = Get-Answer -PublicName $PublicName -Port 80 -Path '/x?y' -Headers @('Connection: close')
    Compare-Result -Part 'trap 13' -Check "${PublicName}: plain HTTP leads to HTTPS" -Expected 'a redirect' `
        -Found ($plain -split "`r`n`r`n")[0] -Pattern "(?i)\nLocation: https://$PublicName/x\?y"
    $asked = Get-Status -PublicName $PublicName -Port 80 -Path '/.well-known/acme-challenge/none'
    Compare-Result -Part 'trap 13' -Check "${PublicName}: challenges are not redirected" -Found $asked `
        -Expected '404' -Pattern ' 404 '
    if ($status -match ' 503 ') {
        ConvertTo-Result -Part 'answer' -Check "${PublicName}: no service stands behind it" -Outcome 'not applicable'
        return
    }
    foreach ($path in @('/userdata/a+b', '/bin/x', '/notes.config', ('/view?filename=' + ('x' * 3000)))) {
        $seen = Get-Status -PublicName $PublicName -Port 443 -Path $path
        Compare-Result -Part 'trap 9' -Check "${PublicName}: $($path.Substring(0, [Math]::Min(20, $path.Length)))" `
            -Found $seen -Expected 'the answer that / got, not one of IIS' -Pattern ([regex]::Escape($status))
    }
}

function Get-SocketResult {
    param([string]$PublicName, [string]$TokenFile)

    $upgrade = @(
        'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13'
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Extensions: permessage-deflate'
    )
    $foreign = Get-Status -PublicName $PublicName -Port 443 -Path '/ws' `
        -Headers ($upgrade + @('Origin: https://elsewhere.invalid'))
    Compare-Result -Part 'answer' -Check "${PublicName}: a WebSocket of another site's page" -Found $foreign `
        -Expected '403' -Pattern ' 403 '
    $check = "${PublicName}: a WebSocket that offers compression lives"
    if (-not $TokenFile) {
        ConvertTo-Result -Part 'trap 1, to confirm' -Check $check -Found 'no -TokenFile' -Outcome 'not applicable'
        return
    }
    $token = (Get-Content -LiteralPath $TokenFile -TotalCount 1).Trim()
    $answer = Get-Answer -PublicName $PublicName -Port 443 -Path '/ws' `
        -Headers ($upgrade + @("Authorization: Bearer $token"))
    $head = ($answer -split "`r`n`r`n", 2)[0]
    $open = $answer.EndsWith('(still open after 5 s)')
    $plain = $head -notmatch '(?i)\nSec-WebSocket-Extensions:'
    Compare-Result -Part 'trap 1, to confirm' -Check $check -Expected '101, no extension, still open' `
        -Found "$(($head -split "`r`n")[0]), no extension: $plain, still open: $open" -Pattern '101 .*True.*True'
}

Export-ModuleMember -Function @('Get-SiteResult', 'Get-AnswerResult', 'Get-SocketResult')
