<#
.SYNOPSIS
    Ends WSL with everything in it, and lets the boot task start the guest again; ends with 1 where that fails.
.DESCRIPTION
    Run by Task Scheduler, for an Ansible that runs in the guest and ends with it. Ends every distribution: they share
    one virtual machine, which reads .wslconfig when it starts. Each step stands in the journal, a line each.
.PARAMETER TaskPath
    Folder of the task in Task Scheduler, with a backslash at both ends.
.PARAMETER TaskName
    The task that starts the guest and holds it (role wsl_host).
#>
[CmdletBinding()]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $TaskPath,

    [Parameter(Mandatory = $true)]
    [string]
    $TaskName,

    [Parameter(Mandatory = $true)]
    [string]
    $Journal
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$env:WSL_UTF8 = '1'

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

function Get-Task {
    Get-ScheduledTask -TaskPath $TaskPath -TaskName $TaskName -ErrorAction SilentlyContinue
}

# Looked for before anything ends: without it nobody would start the guest.
if (-not (Get-Task)) {
    Write-Journal -Text "nothing was ended: no scheduled task $TaskPath$TaskName"
    exit 1
}

Write-Journal -Text 'WSL ends'
$ErrorActionPreference = 'Continue'
$said = (@(& wsl.exe --shutdown) -join ' ').Trim()
$code = $LASTEXITCODE
$ErrorActionPreference = 'Stop'
if ($code -ne 0) {
    Write-Journal -Text "wsl --shutdown ended with ${code}: $said"
    exit 1
}

# What the task had started has ended with WSL; while it still counts as running, another start is ignored.
$deadline = (Get-Date).AddSeconds(60)
while ((Get-Task).State -eq 'Running') {
    if ((Get-Date) -gt $deadline) {
        Write-Journal -Text "the task $TaskPath$TaskName is still running after WSL has ended"
        exit 1
    }
    Start-Sleep -Milliseconds 500
}
Start-ScheduledTask -TaskPath $TaskPath -TaskName $TaskName
Write-Journal -Text "the task $TaskPath$TaskName starts the guest"
exit 0
