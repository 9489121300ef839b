<#
.SYNOPSIS
    Ends WSL with everything in it, and lets the boot task start the guest again.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Ends every distribution: they share one virtual machine, and only its
    start takes over a driver that was exchanged on Windows. Does not wait for the guest.
.PARAMETER TaskPath
    Folder of the task in Task Scheduler, with a backslash at both ends.
.PARAMETER TaskName
    The task that starts the guest and holds it (role wsl_host).
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $TaskPath,

    [Parameter(Mandatory = $true)]
    [string]
    $TaskName
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false
$env:WSL_UTF8 = '1'

function Get-Task {
    Get-ScheduledTask -TaskPath $TaskPath -TaskName $TaskName -ErrorAction SilentlyContinue
}

# Looked for before anything ends: without it nobody would start the guest.
if (-not (Get-Task)) {
    throw "no scheduled task $TaskPath$TaskName"
}

if ($PSCmdlet.ShouldProcess('WSL', 'shut down and start')) {
    $ErrorActionPreference = 'Continue'
    $said = (@(& wsl.exe --shutdown) -join ' ').Trim()
    $code = $LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    if ($code -ne 0) {
        throw "wsl --shutdown ended with ${code}: $said"
    }
    # What the task had started has ended with WSL; while it still counts as running, another start is ignored.
    $deadline = (Get-Date).AddSeconds(60)
    while ((Get-Task).State -eq 'Running') {
        if ((Get-Date) -gt $deadline) {
            throw "the task $TaskPath$TaskName is still running after WSL has ended"
        }
        Start-Sleep -Milliseconds 500
    }
    Start-ScheduledTask -TaskPath $TaskPath -TaskName $TaskName
}
$Ansible.Changed = $true
