<#
.SYNOPSIS
    A TCP port of this machine leads to a port of another address.
.DESCRIPTION
    Run by ansible.windows.win_powershell. Reads the registry, where `netsh interface portproxy` keeps its lines,
    because netsh itself answers in the language of the system; writes through netsh, which tells the service.
    Lines for other ports are not touched.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory = $true)]
    [string]
    $ListenAddress,

    [Parameter(Mandatory = $true)]
    [ValidateRange(1, 65535)]
    [int]
    $ListenPort,

    [Parameter(Mandatory = $true)]
    [string]
    $ConnectAddress,

    [Parameter(Mandatory = $true)]
    [ValidateRange(1, 65535)]
    [int]
    $ConnectPort
)

Set-StrictMode -Version 2.0
$ErrorActionPreference = 'Stop'
$Ansible.Changed = $false

$table = 'HKLM:\SYSTEM\CurrentControlSet\Services\PortProxy\v4tov4\tcp'
$line = "$ListenAddress/$ListenPort"
$wanted = "$ConnectAddress/$ConnectPort"

function Get-Line {
    if (-not (Test-Path -LiteralPath $table)) {
        return ''
    }
    return [string](Get-Item -LiteralPath $table).GetValue($line, '')
}

$current = Get-Line
if ($current -ne $wanted) {
    if ($PSCmdlet.ShouldProcess($line, "forward to $wanted")) {
        $arguments = @(
            'interface', 'portproxy', 'set', 'v4tov4'
            "listenaddress=$ListenAddress", "listenport=$ListenPort"
            "connectaddress=$ConnectAddress", "connectport=$ConnectPort"
        )
        $said = & netsh.exe @arguments
        # netsh exits with 0 after some refusals, so the table has the last word.
        if ((Get-Line) -ne $wanted) {
            throw "netsh did not forward $line to ${wanted}: $said"
        }
    }
    $Ansible.Changed = $true
}

$Ansible.Diff = @{ before = @{ $line = $current }; after = @{ $line = $wanted } }
$Ansible.Result = @{ listen = $line; connect = $wanted }
