<#
.SYNOPSIS
    Runs a shell script in a WSL distribution as root, and ends the distribution, so that its next start reads wsl.conf.
.DESCRIPTION
    Run by ansible.windows.win_powershell, for a distribution that was just imported and in which nobody works yet.
    The result has "said", the lines that the script printed.
.PARAMETER Script
    Path of the script on a drive of Windows, which WSL shows below /mnt.
.PARAMETER User
    First argument of the script.
.PARAMETER Key
    Second argument of the script.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $Distribution,

    [Parameter(Mandatory = $true)]
    [string]
    $Script,

    [Parameter(Mandatory = $true)]
    [string]
    $User,

    [Parameter(Mandatory = $true)]
    [string]
    $Key
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false
$env:WSL_UTF8 = '1'
$said = @()

if ($PSCmdlet.ShouldProcess($Distribution, "run $Script")) {
    $inside = '/mnt/' + $Script.Substring(0, 1).ToLowerInvariant() + $Script.Substring(2).Replace('\', '/')
    # What a program says on stderr is no reason to stop: its exit code is.
    $ErrorActionPreference = 'Continue'
    $said = @(& wsl.exe --distribution $Distribution --user root --exec /bin/sh $inside $User $Key 2>&1 |
            ForEach-Object { [string]$_ })
    $code = $LASTEXITCODE
    $ErrorActionPreference = 'Stop'
    if ($code -ne 0) {
        $last = @($said | Select-Object -Last 5) -join "`n"
        throw "found: the first start of $Distribution ended with ${code}: $last`n" +
            "expected: a guest with systemd, sshd and the account $User`n" +
            "next step: settle what it says, most often that a package source cannot be reached, and run this again"
    }
    $null = & wsl.exe --terminate $Distribution
}
$Ansible.Changed = $true
$Ansible.Diff = @{ before = @{}; after = @{ run = $Script } }
$Ansible.Result = @{ said = $said }
