<#
.SYNOPSIS
    The ports of Windows lead to the guest's present address, and IIS answers; else it says so and ends with 1.
.DESCRIPTION
    Run by Task Scheduler, at each boot and every five minutes, as the account that owns the distribution: WSL
    refuses LocalSystem. Asking the guest for its address starts it where it does not run. Nothing but port proxy
    lines is ever changed, and of those only the ones named here. What was changed or found wrong stands in the
    journal, a line each.
.PARAMETER Forward
    Lines of the form listenaddress/listenport/guestport, with commas between them. May be empty.
.PARAMETER ProbeUrl
    Where IIS must answer; with which status does not matter.
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Distribution,

    [Parameter(Mandatory = $true)]
    [AllowEmptyString()]
    [string]
    $Forward,

    [Parameter(Mandatory = $true)]
    [string]
    $ProbeUrl,

    [Parameter(Mandatory = $true)]
    [string]
    $Journal
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$env:WSL_UTF8 = '1'
$table = 'HKLM:\SYSTEM\CurrentControlSet\Services\PortProxy\v4tov4\tcp'
$failed = $false

function Write-Journal {
    param([string]$Text)

    # The last thousand lines are kept.
    $kept = @()
    if (Test-Path -LiteralPath $Journal) {
        $kept = @(Get-Content -LiteralPath $Journal -Tail 999)
    }
    $moment = (Get-Date).ToUniversalTime().ToString('yyyy-MM-ddTHH:mm:ssZ')
    Set-Content -LiteralPath $Journal -Value ($kept + "$moment $Text") -Encoding UTF8
}

function Get-Line {
    param([string]$Name)

    if (-not (Test-Path -LiteralPath $table)) {
        return ''
    }
    return [string](Get-Item -LiteralPath $table).GetValue($Name, '')
}

$ErrorActionPreference = 'Continue'
$said = (@(& wsl.exe --distribution $Distribution --exec hostname -I) -join ' ').Trim()
$code = $LASTEXITCODE
$ErrorActionPreference = 'Stop'
# The first address is the one of eth0; the bridges of Docker come after it.
$addresses = @($said -split '\s+' | Where-Object { $_ -match '^\d+(\.\d+){3}$' })

if ($code -ne 0 -or $addresses.Count -eq 0) {
    Write-Journal -Text "guest: $Distribution gave no address: $said"
    $failed = $true
}
else {
    foreach ($entry in @($Forward -split ',' | Where-Object { $_ })) {
        $listenAddress, $listenPort, $guestPort = $entry -split '/'
        $line = "$listenAddress/$listenPort"
        $wanted = "$($addresses[0])/$guestPort"
        if ((Get-Line -Name $line) -eq $wanted) {
            continue
        }
        $arguments = @(
            'interface', 'portproxy', 'set', 'v4tov4'
            "listenaddress=$listenAddress", "listenport=$listenPort"
            "connectaddress=$($addresses[0])", "connectport=$guestPort"
        )
        $answer = & netsh.exe @arguments
        # netsh exits with 0 after some refusals, so the table has the last word.
        if ((Get-Line -Name $line) -eq $wanted) {
            Write-Journal -Text "port proxy: $line leads to $wanted"
        }
        else {
            Write-Journal -Text "port proxy: $line does not lead to ${wanted}: $answer"
            $failed = $true
        }
    }
}

try {
    $request = [System.Net.WebRequest]::Create($ProbeUrl)
    $request.Method = 'HEAD'
    $request.Timeout = 30000
    $request.AllowAutoRedirect = $false
    $request.GetResponse().Close()
}
catch [System.Net.WebException] {
    # An answer of IIS with an error is an answer.
    if ($null -eq $_.Exception.Response) {
        Write-Journal -Text "IIS: no answer at ${ProbeUrl}: $($_.Exception.Message)"
        $failed = $true
    }
}

if ($failed) {
    exit 1
}
exit 0
